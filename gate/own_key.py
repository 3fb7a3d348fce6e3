"""The gate's own key, which signs what it admitted: made at the first start, and kept beside its database."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from securesystemslib.signer import CryptoSigner

from compliance.attest.keys import generate_key, load_signer
from compliance.errors import InvalidInput, Location

FILE: Final = "gate-key.pem"


def own_signer(data: Path) -> CryptoSigner:
    """The key in the data directory, made when there is none. The file appears whole or not at all.

    Raises InvalidInput when the file is no key, or cannot be written.
    """
    path = data / FILE
    if not path.exists():
        _make(path)
    return load_signer(path)


def public_key(data: Path) -> str:
    """The public half in PEM. Raises InvalidInput when no gate has run on this directory."""
    return str(existing_signer(data).public_key.keyval["public"])


def existing_signer(data: Path) -> CryptoSigner:
    """The key in the data directory. Raises InvalidInput when no gate has run on this directory."""
    path = data / FILE
    if not path.exists():
        raise InvalidInput(
            "is not there, since no gate has run here", at=Location(path), remedy="Start it once: mlgate serve"
        )
    return load_signer(path)


def _make(path: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".key-") as place:
            private = Path(place) / "private.pem"
            generate_key(private, Path(place) / "public.pem")
            _to_disk(private)
            with contextlib.suppress(FileExistsError):  # made meanwhile; there is only one
                os.link(private, path)
        _to_disk(path.parent)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
