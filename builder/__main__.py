"""`python -m builder` is `mlbuild`."""

from builder.cli import main

main(prog_name="mlbuild")
