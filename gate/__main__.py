"""`python -m gate`, where there is no `mlgate` on PATH."""

from gate.cli import main

main(prog_name="mlgate")
