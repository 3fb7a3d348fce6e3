"""Debian packages as layer entries: read from their bytes, with no script run and no tool of the host.

A package is an `ar` archive of `debian-binary`, `control.tar` and `data.tar` (deb(5)). The data is
decompressed once into a scratch file; entries read their bytes from there when the layer is written, so
memory does not grow with the package. Paths come out in merged-/usr form.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

import zstandard

from builder.errors import BuilderError
from builder.layers.tar import CHUNK, Entry, Kind, is_plain

MERGED: Final = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")
"""The directories of / that are symbolic links into /usr (the merged-/usr layout)."""

STATUS: Final = "var/lib/dpkg/status.d"
"""Where layers list their packages, one file each. Scanners read it as they read /var/lib/dpkg/status."""

_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER: Final = 60
_MAX_CONTROL: Final = 64 << 20  # bytes unpacked; real ones stay below 1 MB
_DECOMPRESSORS: Final[dict[str, Callable[[BinaryIO], IO[bytes]]]] = {
    "": lambda stream: stream,
    ".gz": lambda stream: cast(IO[bytes], gzip.GzipFile(fileobj=stream)),
    ".xz": lambda stream: cast(IO[bytes], lzma.LZMAFile(stream)),  # noqa: SIM115 - the stream's owner closes it
    ".zst": lambda stream: cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(stream, closefd=False)),
}
_BROKEN: Final = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    lzma.LZMAError,
    zstandard.ZstdError,
    tarfile.TarError,
)


@dataclass(frozen=True, slots=True)
class Deb:
    """A Debian package: the text of its control file, md5 sums by path where it ships them, and its files.

    `postinst` is the text of the script that would run after it was unpacked; empty where there is none.
    """

    control: str
    md5sums: dict[str, str]
    entries: tuple[Entry, ...]
    postinst: str = ""


def read_deb(path: Path, scratch: Path) -> Deb:
    """Read the package at `path`; its files' bytes are kept in a new file in the directory `scratch`.

    Hard links become files of their own. Raises BuilderError when the file is no Debian package, or
    holds what has no place in a layer: devices, sparse files, paths that lead out of the tree.
    """
    try:
        with path.open("rb") as stream:
            control, md5sums, postinst = _control(_member(stream, "control.tar"))
            unpacked = scratch / f"{path.name}.tar"
            with unpacked.open("xb") as target:
                shutil.copyfileobj(_member(stream, "data.tar"), target, CHUNK)
        return Deb(control, md5sums, tuple(_entries(unpacked)), postinst)
    except _BROKEN as error:
        raise BuilderError(f"{path.name} is not a sound Debian package: {error}") from error
    except BuilderError as error:
        raise BuilderError(f"{path.name}: {error.message}", remedy=error.remedy) from error


def merged(path: str) -> str:
    """`path` in the merged-/usr layout: `lib/x` is `usr/lib/x`."""
    return f"usr/{path}" if path.split("/")[0] in MERGED else path


def _member(stream: BinaryIO, stem: str) -> IO[bytes]:
    """The decompressed content of the archive's member `stem`, `stem.gz`, `stem.xz` or `stem.zst`."""
    stream.seek(0)
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise BuilderError("not an ar archive")
    while header := stream.read(_AR_HEADER):
        if len(header) < _AR_HEADER or header[58:] != b"`\n":
            raise BuilderError("the ar archive is cut short or broken")
        name = header[:16].decode("ascii").rstrip().removesuffix("/")
        size = int(header[48:58])
        start = stream.tell()
        if name == "debian-binary" and not stream.read(size).startswith(b"2."):
            raise BuilderError("not a package of format 2")
        if name.startswith(stem) and name.removeprefix(stem) in _DECOMPRESSORS:
            section = cast(BinaryIO, io.BufferedReader(_Section(stream, start, size), CHUNK))
            return _DECOMPRESSORS[name.removeprefix(stem)](section)
        stream.seek(start + size + size % 2)
    raise BuilderError(f"it has no {stem}")


def _control(archive: IO[bytes]) -> tuple[str, dict[str, str], str]:
    data = archive.read(_MAX_CONTROL + 1)
    if len(data) > _MAX_CONTROL:
        raise BuilderError("its control archive is too large")
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as members:
        for member in members:
            name = member.name.removeprefix("./")
            if name in {"control", "md5sums", "postinst"} and (content := members.extractfile(member)) is not None:
                found[name] = content.read().decode("utf-8", "strict" if name != "postinst" else "replace")
    if "control" not in found:
        raise BuilderError("it has no control file")
    sums = (line.split(maxsplit=1) for line in found.get("md5sums", "").splitlines() if line.strip())
    by_path = {merged(path.removeprefix("./")): md5 for md5, path in sums}
    return found["control"], by_path, found.get("postinst", "")


def _entries(unpacked: Path) -> Iterator[Entry]:
    with tarfile.open(unpacked, mode="r:") as members:
        for member in members:
            name = member.name.removeprefix("./").rstrip("/")
            if name in {"", "."} or (name in MERGED and member.issym()):
                continue  # the root itself, and the links that merged-/usr makes
            if not is_plain(name):
                raise BuilderError(f"it holds the path {member.name!r}")
            yield _entry(merged(name), member, members, unpacked)


def _entry(path: str, member: tarfile.TarInfo, members: tarfile.TarFile, unpacked: Path) -> Entry:
    """Owners are dropped: everything a package brings belongs to root. Of a directory's special mode
    bits only the sticky bit is kept, which /tmp needs; a file's are kept for the caller to judge."""
    if member.isdir():
        return Entry(path, Kind.DIRECTORY, member.mode & 0o1777)
    if member.issym():
        return Entry(path, Kind.SYMLINK, 0o777, target=member.linkname)
    if member.islnk():
        member = members.getmember(member.linkname)
    if not member.isreg() or member.issparse():
        raise BuilderError(f"{path} is neither a file, a directory nor a link")
    offset, size = member.offset_data, member.size
    return Entry(
        path, Kind.FILE, member.mode & 0o7777, size, content=lambda: _open_section(unpacked, offset, size)
    )


def _open_section(path: Path, offset: int, size: int) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Section(path.open("rb"), offset, size, closes=True), CHUNK))


class _Section(io.RawIOBase):
    """A part of a file as a stream of its own."""

    def __init__(self, stream: BinaryIO, offset: int, size: int, *, closes: bool = False) -> None:
        self._stream, self._position, self._end, self._closes = stream, offset, offset + size, closes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader passes
        self._stream.seek(self._position)
        data = self._stream.read(min(len(buffer), self._end - self._position))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if self._closes:
            self._stream.close()
        super().close()
