"""What is in the tar of a layer: its members in order, and which of them do harm where they are unpacked.

Everything here reads forward, once, in bounded memory, and treats the bytes as hostile.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from compliance.errors import InvalidInput
from compliance.oci.layer import CHUNK, LayerStream

MAX_MEMBERS: Final = 1_000_000
MAX_PATHS: Final = 128 << 20
MAX_PATH: Final = 4096
MAX_HEADER: Final = 1 << 20


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
