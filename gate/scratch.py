"""What a gate has of its own on disk while it runs: a name that outlives it, and a place for temporary files."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput, Location

NAME_FILE: Final = "gate-id"
LEFT_OVER: Final = (".new-*", ".key-*")
"""How temporary files and directories beside their targets begin, until they are renamed."""


def own_name(data: Path) -> str:
    """What tells this gate from others on its database: made at the first start, and kept.

    Raises InvalidInput when it cannot be read or written.
    """
    path = data / NAME_FILE
    try:
        if path.exists() and re.fullmatch(r"[0-9a-f]{32}", found := path.read_text()):
            return found
        made = secrets.token_hex(16)
        new = path.with_name(f".new-{NAME_FILE}")
        new.write_text(made)
        new.replace(path)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
    return made


@contextmanager
def scratch(data: Path) -> Iterator[None]:
    """Temporary files of this process and its children go below `data` while the block lasts.

    What a gate that was killed left there, and beside the files of its cache, is removed first.
    """
    place = data.absolute() / "tmp"
    shutil.rmtree(place, ignore_errors=True)
    _sweep(data)
    try:
        place.mkdir()
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(place)) from error
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    variable = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable
        shutil.rmtree(place, ignore_errors=True)


def _sweep(data: Path) -> None:
    for pattern in LEFT_OVER:
        for path in (*data.glob(pattern), *(data / "cache").rglob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
