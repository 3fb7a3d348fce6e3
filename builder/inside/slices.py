"""Files within a file: parts of one that is read, not unpacked."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast


def slice_of(path: Path, offset: int, size: int) -> Callable[[], BinaryIO]:
    """Opens `size` bytes of a file, beginning at `offset`, as a file of its own."""
    return lambda: cast(BinaryIO, _Slice(path, offset, size))


class _Slice(io.RawIOBase):
    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._stream = path.open("rb")
        self._stream.seek(offset)
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        self._stream.close()
        super().close()
