"""Reading a wheel's zip file: strictly, without unpacking it, and against its own RECORD.

A zip file says everything twice (local headers and central directory), and readers that believe different
halves see different files. Here a name must be the same in both, plain, and there once. Members are
inflated by isal, which is about twice as fast as zlib; only stored and deflated members are read, as the
wheel format has it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from installer.records import Hash, InvalidRecordEntry, RecordEntry, parse_record_file
from isal import isal_zlib

from builder.errors import BuilderError
from builder.layers.tar import CHUNK, is_plain

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_ENCRYPTED: Final = 0x1
_SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_UNREADABLE: Final = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error)  # of damaged files
_TEXT_LIMIT: Final = 64 << 20
_INFLATE_ERROR: Final = cast(type[Exception], isal_zlib.error)  # its stub names an instance


def sha256_of(content: bytes) -> Hash:
    """The hash of `content` as RECORD writes it."""
    return _as_record(hashlib.sha256(content).digest(), "sha256")


def _as_record(digest: bytes, algorithm: str) -> Hash:
    return Hash(algorithm, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


class Archive:
    """An open wheel. `members` are its files by path; directories are left out."""

    def __init__(self, descriptor: int, directory: zipfile.ZipFile, path: Path, label: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._label = label
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in directory.infolist():
            self._check(member)
            if not member.is_dir():
                self.members[member.filename] = member

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.filename.removesuffix("/")
        if not is_plain(name) or "\\" in name or member.orig_filename != member.filename:
            raise self.refused(f"holds the path {member.orig_filename!r}, which leads out of its place")
        if member.filename in self.members:
            raise self.refused(f"holds {member.filename} twice")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise self.refused(f"holds {member.filename} encrypted or in a compression that wheels do not use")

    def stream(self, member: zipfile.ZipInfo, row: RecordEntry | None = None) -> BinaryIO:
        """The bytes of a member. At its end they are held against the zip's checksum and RECORD's `row`."""
        if member.header_offset < 0:
            raise self.refused(f"does not hold {member.filename}, which it lists")
        header = os.pread(self._descriptor, _LOCAL_HEADER.size, member.header_offset)
        if len(header) < _LOCAL_HEADER.size:
            raise self.refused(f"ends before {member.filename}")
        magic, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        start = member.header_offset + _LOCAL_HEADER.size
        name = os.pread(self._descriptor, name_size, start)
        if magic != b"PK\x03\x04" or name.decode("utf-8" if member.flag_bits & 0x800 else "cp437", "replace") != (
            member.orig_filename
        ):
            raise self.refused(f"calls {member.filename} by another name in its local header")
        start += name_size + extra_size
        return cast(BinaryIO, _Member(self, self._descriptor, start, member, row))

    def read(self, member: zipfile.ZipInfo, row: RecordEntry | None = None) -> bytes:
        """A small member as a whole, checked as `stream` does."""
        if member.file_size > _TEXT_LIMIT:
            raise self.refused(f"holds {member.filename} of {member.file_size:,} bytes, too much for such a file")
        with self.stream(member, row) as stream:
            return stream.read()

    def text(self, path: str) -> str:
        """A member that must be there, as UTF-8 text."""
        member = self.members.get(path)
        if member is None:
            raise self.refused(f"has no {path}")
        try:
            return self.read(member).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.refused(f"has a {path} that is not UTF-8 text") from error

    def starts_with(self, member: zipfile.ZipInfo, prefix: bytes) -> bool:
        with self.stream(member) as stream:
            return stream.read(len(prefix)) == prefix

    def refused(self, reason: str) -> BuilderError:
        return BuilderError(
            f"{self._label}: the wheel {reason} ({self._path})",
            remedy="Lock another version; if this one should be right, tell its maintainers.",
        )


@contextmanager
def open_archive(path: Path, label: str) -> Iterator[Archive]:
    """Open a wheel; `label` names it in messages. Raises BuilderError when it cannot be read as one."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            directory = stack.enter_context(zipfile.ZipFile(file))
        except OSError as error:
            raise BuilderError(f"{label}: the wheel cannot be read: {error.strerror} ({path})") from error
        except _UNREADABLE as error:
            raise BuilderError(
                f"{label}: the wheel is no zip file: {error} ({path})", remedy="Lock another version."
            ) from error
        yield Archive(file.fileno(), directory, path, label)


def record_of(archive: Archive, path: str) -> dict[str, RecordEntry]:
    """RECORD's row for each member, with hash and size. Raises BuilderError when it lies or misses a file.

    Contents are compared when they are read. A row without a hash is completed from the bytes.
    """
    rows: dict[str, RecordEntry] = {}
    try:
        for elements in parse_record_file(archive.text(path).splitlines()):
            row = RecordEntry.from_elements(*elements)
            if rows.setdefault(row.path, row) != row:
                raise archive.refused(f"has a RECORD with two different rows for {row.path}")
    except (InvalidRecordEntry, csv.Error) as error:
        raise archive.refused(f"has a RECORD that cannot be read: {error}") from error
    folder = path.rpartition("/")[0]
    unlisted = {path, *(f"{folder}/{name}" for name in _SIGNATURES)}
    for name in rows.keys() - archive.members.keys() - unlisted:
        raise archive.refused(f"has a RECORD that lists {name}, which is not in it")
    return {
        name: _complete(archive, member, rows.get(name))
        for name, member in archive.members.items()
        if name not in unlisted
    }


def _complete(archive: Archive, member: zipfile.ZipInfo, row: RecordEntry | None) -> RecordEntry:
    if row is None:
        raise archive.refused(f"holds {member.filename}, which its RECORD does not list")
    if row.size is not None and row.size != member.file_size:
        raise archive.refused(
            f"has a RECORD by which {member.filename} has {row.size:,} bytes; it has {member.file_size:,}"
        )
    if row.hash_ is None:
        with archive.stream(member) as stream:
            state = hashlib.sha256()
            while chunk := stream.read(CHUNK):
                state.update(chunk)
        return RecordEntry(row.path, _as_record(state.digest(), "sha256"), member.file_size)
    if row.hash_.name not in _HASHES:
        raise archive.refused(
            f"has a RECORD that vouches for {member.filename} by {row.hash_.name}, which is weak"
        )
    return RecordEntry(row.path, row.hash_, member.file_size)


class _Member(io.RawIOBase):
    """The inflated bytes of one member, checked at the end."""

    def __init__(
        self, archive: Archive, descriptor: int, start: int, member: zipfile.ZipInfo, row: RecordEntry | None
    ) -> None:
        self._archive = archive
        self._descriptor = descriptor
        self._at, self._end = start, start + member.compress_size
        self._member = member
        self._row = row
        self._inflate = isal_zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
        self._tail = b""
        self._left = member.file_size
        self._crc = 0
        self._state = hashlib.new(row.hash_.name) if row is not None and row.hash_ is not None else None
        self._held: list[memoryview] = []  # views, so that each byte is copied once
        self._size = 0
        self._done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # narrower than any buffer
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def read(self, size: int = -1) -> bytes:
        while not self._done and (size < 0 or self._size < size):
            self._held.append(memoryview(self._more()))
            self._size += len(self._held[-1])
        rest: list[memoryview] = []
        over = self._size - size if size >= 0 else 0
        if over > 0:  # no more than a part of the last: what came before it was not enough
            last = self._held.pop()
            cut = len(last) - over
            self._held.append(last[:cut])
            rest.append(last[cut:])
        chunk = b"".join(self._held)
        self._held, self._size = rest, max(over, 0)
        return chunk

    def _more(self) -> bytes:
        """Some more inflated bytes; at the end of the member none, and everything compared."""
        data = self._tail
        if not data:
            data = os.pread(self._descriptor, min(CHUNK, self._end - self._at), self._at)
            self._at += len(data)
        if self._inflate is None:
            chunk = data
        else:
            try:
                chunk = self._inflate.decompress(data, CHUNK)
            except _INFLATE_ERROR as error:
                raise self._archive.refused(f"is damaged at {self._member.filename}: {error}") from error
            self._tail = self._inflate.unconsumed_tail
        self._left -= len(chunk)
        if self._left < 0:
            raise self._archive.refused(f"holds more of {self._member.filename} than the size it gives")
        self._crc = isal_zlib.crc32(chunk, self._crc)
        if self._state is not None:
            self._state.update(chunk)
        if not chunk and not data:
            self._finish()
        return chunk

    def _finish(self) -> None:
        self._done = True
        whole = self._at == self._end and (self._inflate is None or self._inflate.eof)
        if not whole or self._crc != self._member.CRC:
            raise self._archive.refused(f"is damaged at {self._member.filename}")
        if self._row is not None and self._row.hash_ is not None and self._state is not None:
            found = _as_record(self._state.digest(), self._row.hash_.name)
            if found != self._row.hash_:
                raise self._archive.refused(
                    f"has a RECORD by which {self._member.filename} has {self._row.hash_}; it has {found}"
                )
