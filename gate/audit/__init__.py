"""The audit log: what the gate did and for whom, in a chain that shows every later change.

`log` appends entries, `checkpoints` signs how far the chain has come, `verification` finds what was changed.
"""
