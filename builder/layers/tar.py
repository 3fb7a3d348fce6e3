"""Deterministic layers: a sorted tar with nothing in it of the machine or the moment it was made.

By DESIGN's determinism contract: entries sorted by path, every parent directory explicit, modes 0644 or
0755 unless an entry says otherwise, one fixed mtime, POSIX ustar with pax headers only where a path or
size needs them, and a gzip header without name or time. Hard links come after everything else, so that
what they point at is always there. The diffID (digest of the tar) is the layer's identity; the digest of
the compressed blob is as stable as the compressor, which is why that is named in `Compression.writer`.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from builder.errors import BuilderError
from builder.layers.stream import CHUNK, Compression, Compressor, Hashing, Steady, behind
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor

__all__ = [
    "CHUNK",
    "LAYER_MTIME",
    "LAYOUT_VERSION",
    "Compression",
    "Entry",
    "Kind",
    "WrittenLayer",
    "directory",
    "is_plain",
    "of_bytes",
    "symlink",
    "write_layer",
]

LAYOUT_VERSION: Final = 2
"""Part of every layer's cache key and of provenance: raised whenever the same input would give another image."""

LAYER_MTIME: Final = 315_532_800
"""1980-01-01T00:00:00Z: fixed, and not so early that a zip file could not hold it."""

_COMPONENT_MAX: Final = 255  # bytes: the longest name that Linux file systems take


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer. `path` is relative to `/`, with `/` between parts. `size` is in bytes.

    `content` opens the bytes of a file; it is called once, when the layer is written.
    `target` is what a link points at: for a hard link the path of a file in this layer.
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
    entries: Iterable[Entry],
    blob: BinaryIO,
    *,
    mtime: int = LAYER_MTIME,
    compression: Compression = Compression.GZIP,
) -> WrittenLayer:
    """Write `entries` as one layer to `blob`. `mtime` is seconds since the epoch, the same for each entry.

    Memory stays flat whatever the sizes. `blob` is neither flushed nor synced: that is its owner's.
    Raises BuilderError when a path is not a plain relative one, stands twice, lies under something that
    is not a directory, when a hard link points at no file of this layer, or when a file is not as long
    as its entry says.
    """
    ordered = _complete(entries)
    blob_side = Hashing(blob)
    compressor = Compressor(blob_side, compression)
    tar_side = Hashing(compressor)
    with behind(tar_side) as sink:
        steady = Steady(sink)
        for entry in ordered:
            _add(steady, entry, mtime)
        steady.write(bytes(2 * tarfile.BLOCKSIZE))
        steady.pad(tarfile.RECORDSIZE)
        steady.flush()
    compressor.finish()
    descriptor = Descriptor(media_type=compression.media_type, digest=blob_side.digest, size=blob_side.size)
    return WrittenLayer(descriptor, tar_side.digest, tar_side.size)


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    """Sort the entries, refuse doubtful ones, and add the parent directories that nobody named."""
    by_path: dict[str, Entry] = {}
    for entry in entries:
        _check(entry)
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
    for entry in by_path.values():
        target = by_path.get(entry.target) if entry.kind is Kind.HARDLINK else entry
        if target is None or (entry.kind is Kind.HARDLINK and target.kind is not Kind.FILE):
            raise BuilderError(f"the hard link {entry.path!r} points at {entry.target!r}, no file of its layer")
    return sorted(by_path.values(), key=lambda entry: (entry.kind is Kind.HARDLINK, entry.path.split("/")))


def _check(entry: Entry) -> None:
    """Refuse an entry that a tar or a Linux file system could not hold as it is written."""
    if not is_plain(entry.path):
        raise BuilderError(f"a layer cannot hold the path {entry.path!r}")
    if entry.kind is Kind.SYMLINK and not (entry.target and _is_text(entry.target)):
        raise BuilderError(f"the link {entry.path!r} cannot point at {entry.target!r}")
    if entry.mode & ~0o7777 or entry.size < 0 or (entry.content is None and entry.size):
        raise BuilderError(f"the entry {entry.path!r} contradicts itself: mode {entry.mode:o}, {entry.size} bytes")


def is_plain(path: str) -> bool:
    """Whether `path` is relative, normal (no empty, `.` or `..` part), UTF-8 and no part is over 255 bytes."""
    return _is_text(path) and all(
        part not in {"", ".", ".."} and len(part.encode()) <= _COMPONENT_MAX for part in path.split("/")
    )


def _is_text(path: str) -> bool:
    """Whether `path` can be written as UTF-8 (no lone surrogate, as bad file names are read) without NUL."""
    return "\0" not in path and path.encode("utf-8", "replace") == path.encode("utf-8", "surrogatepass")


_TAR_TYPES: Final = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}


def _add(archive: Steady, entry: Entry, mtime: int) -> None:
    member = tarfile.TarInfo(entry.path)
    member.type = _TAR_TYPES[entry.kind]
    member.mode = entry.mode
    member.uid, member.gid, member.mtime = entry.uid, entry.gid, mtime
    member.linkname = entry.target
    member.size = entry.size
    archive.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8"))
    if entry.content is None:
        return
    left = entry.size
    with entry.content() as stream:
        while left:
            chunk = stream.read(min(CHUNK, left))
            if not chunk:
                raise BuilderError(f"{entry.path!r} is shorter than the {entry.size} bytes announced")
            archive.write(chunk)
            left -= len(chunk)
        if stream.read(1):
            raise BuilderError(f"{entry.path!r} is longer than the {entry.size} bytes announced")
    archive.pad(tarfile.BLOCKSIZE)
