"""Layer blobs read as the tar streams they hold (image specification v1.1, "Image Layer Filesystem Changeset").

Everything here reads forward, once, in bounded memory, and treats the bytes as hostile.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import zstandard
from isal import igzip
from isal.igzip_lib import IsalError

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

CHUNK: Final = 1 << 20
MAX_SIZE: Final = 64 << 30
MAX_ZSTD_WINDOW: Final = 128 << 20

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_DAMAGE: Final[tuple[type[Exception], ...]] = (
    EOFError,
    OSError,
    cast("type[Exception]", IsalError),  # its stub calls it an instance
    zlib.error,
    zstandard.ZstdError,
)


class LayerStream(io.RawIOBase):
    """The tar of a layer, decompressed on the way, read forward, hashed, and cut off at `limit` bytes."""

    def __init__(
        self,
        source: BinaryIO,
        name: str,
        limit: int,
        blob: _Verified | None = None,
        same_as: Digest | None = None,
    ) -> None:
        self._source = source
        self._name = name
        self._limit = limit
        self._blob = blob
        self._same_as = same_as
        self._state = hashlib.sha256()
        self._position = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end; all when negative. Raises InvalidInput for damage or too much."""
        size = self._limit + 1 if size < 0 else size
        parts = []
        while size > 0:
            try:
                data = self._source.read(min(size, CHUNK))
            except _DAMAGE as error:
                raise InvalidInput(f"{self._name} cannot be decompressed: {error}") from error
            if not data:
                break
            self._state.update(data)
            self._position += len(data)
            if self._position > self._limit:
                raise InvalidInput(f"{self._name} decompresses to more than {self._limit:,} bytes")
            parts.append(data)
            size -= len(data)
        self.last = b"".join(parts)
        return self.last

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skip forward to `offset`, or to the end. Raises InvalidInput for the way back."""
        if whence != io.SEEK_SET or offset < self._position:
            raise InvalidInput(f"{self._name} is not a tar that can be read in order")
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position

    def finish(self) -> Digest:
        """Read what is left and return the diffID. Raises InvalidInput when the blob was to be verified and is not
        what its digest names."""
        while self.read(CHUNK):
            pass
        if self._blob is not None:
            self._blob.verify(self._name)
        diff_id = Digest("sha256:" + self._state.hexdigest())
        if self._same_as not in {None, diff_id}:
            raise _altered(self._name)
        return diff_id


class _Verified(io.RawIOBase):
    """A blob that is hashed as it is read."""

    def __init__(self, blob: BinaryIO, digest: Digest) -> None:
        self._blob = blob
        self._digest = digest
        self._state = hashlib.new(digest.algorithm)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._blob.read(size)
        self._state.update(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def verify(self, name: str) -> None:
        while self.read(CHUNK):
            pass
        if self._state.hexdigest() != self._digest.hex:
            raise _altered(name)


def _altered(name: str) -> InvalidInput:
    return InvalidInput(f"{name} has been altered")


@contextmanager
def open_layer(
    path: Path, *, name: str = "the layer", limit: int = MAX_SIZE, digest: Digest | None = None
) -> Iterator[LayerStream]:
    """The tar in a layer blob, plain or compressed with gzip or zstd: known by its first bytes, as runtimes do.

    `limit` bounds the tar, in bytes; `digest`, where given, is what the blob must have once it was read to
    its end. Raises InvalidInput when the blob is missing.
    """
    try:
        blob = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from error
    with blob:
        magic = blob.read(4)
        blob.seek(0)
        compressed = magic.startswith(_GZIP) or magic == _ZSTD
        # What is not compressed has one digest, which need not be taken twice.
        plain = digest is not None and not compressed and digest.algorithm == "sha256"
        verified = None if digest is None or plain else _Verified(blob, digest)
        source = raw = blob if verified is None else cast(BinaryIO, verified)
        if magic.startswith(_GZIP):
            source = cast(BinaryIO, igzip.IGzipFile(fileobj=raw, mode="rb"))
        elif magic == _ZSTD:
            decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
            source = cast(BinaryIO, decompressor.stream_reader(raw, read_across_frames=True, closefd=False))
        with source:
            yield LayerStream(source, name, limit, verified, digest if plain else None)
