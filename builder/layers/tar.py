"""Deterministic layers: a sorted tar with nothing in it of the machine or the moment it was made.

By DESIGN's determinism contract: entries sorted by path, every parent directory explicit, modes 0644 or
0755 unless an entry says otherwise, one fixed mtime, POSIX ustar with pax headers only where a path or
size needs them, and a gzip header without name or time. The diffID (digest of the tar) is the layer's
identity; the digest of the compressed blob is as stable as the compressor, which is why it is named.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Protocol, cast

import zstandard
from isal import igzip

from builder.errors import BuilderError
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor

LAYOUT_VERSION: Final = 1
"""Part of every layer's cache key: raised whenever the same input would give other bytes."""

CHUNK: Final = 1 << 20


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


class Compression(StrEnum):
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def media_type(self) -> str:
        return OCI_LAYER_GZIP if self is Compression.GZIP else OCI_LAYER_ZSTD


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer. `path` is relative to `/`, with `/` between parts. `size` is in bytes.

    `content` opens the bytes of a file; it is called once, when the layer is written.
    `target` is what a link points at: for a hard link a path in this layer.
    """

    path: str
    kind: Kind = Kind.FILE
    mode: int = 0o644
    size: int = 0
    target: str = ""
    content: Callable[[], BinaryIO] | None = None
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer that was written: its blob's descriptor, its diffID, and the tar's size in bytes."""

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int


def directory(path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode, uid=uid, gid=gid)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, Kind.SYMLINK, 0o777, target=target)


def of_bytes(path: str, data: bytes, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> Entry:
    return Entry(path, Kind.FILE, mode, len(data), content=lambda: io.BytesIO(data), uid=uid, gid=gid)


def write_layer(
    entries: Iterable[Entry], blob: BinaryIO, *, mtime: int, compression: Compression = Compression.GZIP
) -> WrittenLayer:
    """Write `entries` as one layer to `blob`. `mtime` is seconds since the epoch, the same for each entry.

    Raises BuilderError when a path is not a plain relative one, stands twice, lies under something that
    is not a directory, or when a file is not as long as its entry says.
    """
    ordered = _complete(entries)
    blob_side = _Hashing(blob)
    compressor = _compressor(blob_side, compression)
    tar_side = _Hashing(compressor)
    with tarfile.open(
        fileobj=tar_side, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK, encoding="utf-8"
    ) as archive:
        for entry in ordered:
            _add(archive, entry, mtime)
    compressor.close()
    descriptor = Descriptor(media_type=compression.media_type, digest=blob_side.digest, size=blob_side.size)
    return WrittenLayer(descriptor, tar_side.digest, tar_side.size)


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    """Sort the entries, refuse doubtful ones, and add the parent directories that nobody named."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if not is_plain(entry.path):
            raise BuilderError(f"a layer cannot hold the path {entry.path!r}")
        if entry.path in by_path:
            raise BuilderError(f"the path {entry.path!r} stands twice in one layer")
        by_path[entry.path] = entry
    for path in list(by_path):
        for parent in PurePosixPath(path).parents:
            name = str(parent)
            if name == ".":
                continue
            if by_path.setdefault(name, directory(name)).kind is not Kind.DIRECTORY:
                raise BuilderError(f"the path {path!r} lies under {name!r}, which is not a directory")
    return [by_path[path] for path in sorted(by_path, key=lambda path: path.split("/"))]


def is_plain(path: str) -> bool:
    """Whether `path` is relative, normal (no empty, `.` or `..` part) and free of NUL."""
    return "\0" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


_TAR_TYPES: Final = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}


def _add(archive: tarfile.TarFile, entry: Entry, mtime: int) -> None:
    member = tarfile.TarInfo(entry.path)
    member.type = _TAR_TYPES[entry.kind]
    member.mode = entry.mode
    member.uid, member.gid, member.mtime = entry.uid, entry.gid, mtime
    member.linkname = entry.target
    if entry.content is None:
        archive.addfile(member)
        return
    member.size = entry.size
    with entry.content() as stream:
        try:
            archive.addfile(member, stream)
        except OSError as error:
            raise BuilderError(f"{entry.path!r} is shorter than the {entry.size} bytes announced") from error
        if stream.read(1):
            raise BuilderError(f"{entry.path!r} is longer than the {entry.size} bytes announced")


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashing(io.RawIOBase):
    """Passes bytes on and keeps their digest and count."""

    def __init__(self, sink: _Writable) -> None:
        self._sink = sink
        self._state = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # narrower than any buffer, on purpose
        self._state.update(data)
        self.size += len(data)
        self._sink.write(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._state.hexdigest())


def _compressor(sink: _Hashing, compression: Compression) -> _Sink:
    """A compressing writer with a pinned level, one thread and no header fields that vary."""
    if compression is Compression.ZSTD:
        return zstandard.ZstdCompressor(level=3, threads=0).stream_writer(cast(BinaryIO, sink), closefd=False)
    return igzip.IGzipFile(filename="", mode="wb", compresslevel=2, fileobj=sink, mtime=0)
