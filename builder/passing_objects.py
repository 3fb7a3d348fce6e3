"""The shared objects of a wheel, read while its bytes pass into a layer, so that they are inflated once."""

from __future__ import annotations

import io
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Final, cast

from installer.records import RecordEntry

from builder.cache import Cache
from builder.elf import CHUNK, HEAD, MAGIC, TAIL, Rewindable, SharedObject, read_shared_object
from builder.layers.archive import Archive
from builder.layers.inputs import WheelInput
from builder.layers.wheel import Read
from builder.objects import may_be_object, objects_in, remember_objects, unread_wheels

_Found = dict[str, SharedObject | None]
_PLAIN: Final = Archive.stream


@contextmanager
def reading_objects(wheel: WheelInput, cache: Cache) -> Iterator[Read]:
    """How to read the files of a wheel whose archive stays open during the block.

    What its objects ask for is kept at the end, unless it was known, or the block is left by an error.
    """
    if not unread_wheels([wheel], cache):
        yield _PLAIN
        return
    passing = _Passing()
    yield passing.read
    if passing.archive is not None:
        remember_objects(wheel, objects_in(passing.archive, passing.found), cache)


class _Passing:
    def __init__(self) -> None:
        self.archive: Archive | None = None
        self.found: _Found = {}

    def read(self, archive: Archive, member: zipfile.ZipInfo, row: RecordEntry) -> BinaryIO:
        self.archive = archive
        stream = archive.stream(member, row)
        if not may_be_object(member):
            return stream
        again = partial(archive.stream, member)
        return cast(BinaryIO, _Watched(stream, member, again, self.found))


class _Watched(io.RawIOBase):
    """Passes a member on, and keeps of it what `Rewindable` would. At its end the object in it is read."""

    def __init__(
        self, source: BinaryIO, member: zipfile.ZipInfo, again: Callable[[], BinaryIO], found: _Found
    ) -> None:
        self._source, self._member, self._again, self._found = source, member, again, found
        self._head: list[bytes] = []
        self._tail: deque[tuple[int, bytes]] = deque(maxlen=TAIL)
        self._read = 0
        self._object: bool | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        if chunk:
            self._keep(chunk)
        return chunk

    def _keep(self, chunk: bytes) -> None:
        if self._object is None:
            self._object = chunk.startswith(MAGIC)
        whole = len(chunk) == CHUNK or self._read + len(chunk) == self._member.file_size
        if self._object and whole and self._read % CHUNK == 0:  # else it is read again
            if self._read == len(self._head) * CHUNK and len(self._head) < HEAD:
                self._head.append(chunk)
            self._tail.append((self._read // CHUNK, chunk))
        self._read += len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
            if self._read == self._member.file_size:
                self._found[self._member.filename] = self._parsed() if self._object else None
        super().close()

    def _parsed(self) -> SharedObject | None:
        kept = Rewindable(self._again, self._read, self._head, self._tail)
        with io.BufferedReader(kept, 1 << 16) as stream:
            return read_shared_object(cast(BinaryIO, stream), self._member.filename)
