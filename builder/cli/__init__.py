"""The command line of mlbuild: parse, call, print, exit code; nothing else."""

from builder.cli.main import main

__all__ = ["main"]
