"""Files outside the cache as layer content: what is read must be what was hashed before."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO, cast

from builder.errors import BuilderError
from compliance.oci.digest import Digest


def open_unchanged(path: Path, digest: Digest) -> BinaryIO:
    """The file's bytes. Reading its end raises BuilderError when they do not have this digest."""
    return cast(BinaryIO, _Unchanged(path, digest))


class _Unchanged(io.RawIOBase):
    def __init__(self, path: Path, digest: Digest) -> None:
        self._path = path
        self._digest = digest
        self._state = hashlib.sha256()
        self._stream = path.open("rb")

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._state.update(chunk)
        if not chunk and self._state.hexdigest() != self._digest.hex:
            raise BuilderError(f"{self._path} changed while the image was built", remedy="Build again.")
        return chunk

    def close(self) -> None:
        self._stream.close()
        super().close()
