"""The command line of mlgate: parse, call, print, exit code; nothing else."""

from gate.cli.main import main

__all__ = ["main"]
