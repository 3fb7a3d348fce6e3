"""The data directories that come with the project: policies and bases."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """Where the directory `name` is: inside this package when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "data" / name
    return installed if installed.is_dir() else here.parent / name
