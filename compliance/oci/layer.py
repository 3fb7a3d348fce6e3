"""Layer blobs read as the tar streams they hold (image specification v1.1, "Image Layer Filesystem Changeset").

Everything here reads forward, once, in bounded memory, and treats the bytes as hostile.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
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
MAX_MEMBERS: Final = 1_000_000
MAX_PATHS: Final = 128 << 20
MAX_PATH: Final = 4096
MAX_HEADER: Final = 1 << 20
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


class _Member(tarfile.TarInfo):
    """A tar member whose extended headers are bounded: they are read into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED and self.size > MAX_HEADER:
            raise InvalidInput(f"the tar has an extended header of {self.size:,} bytes")
        if self.size < 0:
            raise InvalidInput("the tar has a member of negative size")
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


_EXTENDED: Final = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


def members(stream: LayerStream) -> Iterator[tuple[str, tarfile.TarInfo, BinaryIO | None]]:
    """Every member in order: its absolute path, its header and, for a regular file, its content.

    The content can be read until the next member is asked for; at last `stream` is at its end. Raises
    InvalidInput for what is not a tar, and for what runtimes unpack differently: sparse files, and content
    after the end.
    """
    paths = count = 0
    try:
        archive = tarfile.TarFile(fileobj=stream, mode="r", tarinfo=_Member, encoding="utf-8")
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # else it keeps every header
            path = absolute(member.name)
            count, paths = count + 1, paths + len(path)
            if count > MAX_MEMBERS or paths > MAX_PATHS or len(path) > MAX_PATH:
                raise InvalidInput("the layer has too many members, or too long paths")
            if member.issparse():
                raise InvalidInput(f"the layer holds {path!r} as a sparse file, which runtimes read differently")
            content = _Content(stream, path, member.size) if member.isreg() else None
            yield path, member, cast(BinaryIO, content)
    except (tarfile.TarError, RecursionError, UnicodeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"the layer is not a valid tar: {error}") from error
    while True:
        if stream.last.strip(b"\0"):
            raise InvalidInput(f"the layer is not a valid tar: it goes wrong before byte {stream.tell():,}")
        if not stream.read(CHUNK):
            return


class UnsafeMember(InvalidInput):
    """A layer does harm where it is unpacked."""


def require_safe(member: tarfile.TarInfo) -> None:
    """Raise UnsafeMember for a member that leaves the image's root, links to a file outside it, or is a device.

    Symbolic links may point anywhere: they are resolved within the root. Runtimes that are careful keep all of
    these in; an image that depends on their care is none to run.
    """
    shown = absolute(member.name)
    if member.ischr() or member.isblk():
        raise UnsafeMember(f"the layer makes the device {shown!r}")
    if _leaves(member.name):
        raise UnsafeMember(f"the layer writes outside its root, as {_readable(member.name)!r}")
    if member.islnk() and _leaves(member.linkname):
        raise UnsafeMember(f"the layer links {shown!r} to a file outside its root, {_readable(member.linkname)!r}")


def _leaves(name: str) -> bool:
    """Whether a path has gone above where it started at any point."""
    depth = 0
    for part in name.split("/"):
        depth += -1 if part == ".." else 0 if part in {"", "."} else 1
        if depth < 0:
            return True
    return False


class _Content(io.RawIOBase):
    """The bytes of one regular file, from where the stream stands."""

    def __init__(self, stream: LayerStream, path: str, size: int) -> None:
        self._stream = stream
        self._path = path
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted)
        if len(data) < wanted:
            raise InvalidInput(f"the layer ends within {self._path!r}")
        self._left -= wanted
        return data


def absolute(name: str) -> str:
    """The path in the image that a tar member's name means. Bytes that are not UTF-8 are shown as escapes."""
    return posixpath.normpath("/" + _readable(name).lstrip("/"))


def _readable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
