"""Packages that come without a wheel: found, built once inside the base, and locked with what built them.

Nothing of a source distribution is ever run on this machine itself. Its wheel is built in a sandbox of the
base, with build requirements that are wheels locked by hash, and without network.
"""
