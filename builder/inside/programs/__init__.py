"""Programs for the base's interpreter. They use its standard library alone, and stand here as files to be read."""

from __future__ import annotations

import importlib.resources


def program(name: str) -> str:
    """The source of a program, for `python -c`."""
    return importlib.resources.files(__package__).joinpath(f"{name}.py").read_text(encoding="utf-8")
