"""The way of a layer's bytes from tar to blob: cut into equal pieces, hashed, compressed, hashed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from queue import Queue
from threading import Thread
from typing import Final, Protocol

import isal
import zstandard
from isal import isal_zlib

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD

CHUNK: Final = 1 << 20

GZIP_LEVEL: Final = 2
"""The highest of isal's levels that gives the same bytes on every x86-64 processor with SSE 4.2. Level 3
searches further where it finds AVX2 or AVX-512, and so gives other bytes there."""

ZSTD_LEVEL: Final = 3

_BEHIND: Final = 4  # chunks that may wait between two threads


class Compression(StrEnum):
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def media_type(self) -> str:
        return OCI_LAYER_GZIP if self is Compression.GZIP else OCI_LAYER_ZSTD

    @property
    def writer(self) -> str:
        """What compresses, with its version and level: the compressed digest depends on it."""
        if self is Compression.GZIP:
            return f"isal {isal.ISAL_VERSION} level {GZIP_LEVEL}"
        return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} level {ZSTD_LEVEL}"


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Steady:
    """Passes bytes on in pieces of exactly CHUNK: what a compressor makes depends on how it is fed."""

    def __init__(self, sink: Writable) -> None:
        self._sink = sink
        self._held: list[memoryview] = []  # views, so that each byte is copied once
        self._missing = CHUNK
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        left = memoryview(data)
        while len(left) >= self._missing:
            self._held.append(left[: self._missing])
            left = left[self._missing :]
            self.flush()
        if left:
            self._held.append(left)
            self._missing -= len(left)

    def pad(self, block: int) -> None:
        """Fill up with zeros to a whole number of blocks."""
        self.write(bytes(-self._size % block))

    def flush(self) -> None:
        self._sink.write(b"".join(self._held))
        self._held.clear()
        self._missing = CHUNK


class Hashing:
    """Passes bytes on and keeps their digest and count."""

    def __init__(self, sink: Writable) -> None:
        self._sink = sink
        self._state = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._state.update(data)
        self.size += len(data)
        self._sink.write(data)

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._state.hexdigest())


class Compressor:
    """A compressing writer with a pinned level, one thread and no header field that varies."""

    def __init__(self, sink: Writable, compression: Compression) -> None:
        self._sink = sink
        self._stream = (
            isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
            if compression is Compression.GZIP
            else zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
        )

    def write(self, data: bytes) -> None:
        self._sink.write(self._stream.compress(data))

    def finish(self) -> None:
        self._sink.write(self._stream.flush())


@contextmanager
def behind(sink: Writable) -> Iterator[Writable]:
    """A writer whose bytes reach `sink` in a thread of its own, so that reading and compressing overlap.

    At the end of the block everything has arrived; an error of `sink` is raised there or at a write.
    """
    worker = _Behind(sink)
    try:
        yield worker
    finally:
        worker.finish()
    worker.check()


class _Behind:
    def __init__(self, sink: Writable) -> None:
        self._sink = sink
        self._queue: Queue[bytes | None] = Queue(_BEHIND)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="compress", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        self.check()
        self._queue.put(data)

    def finish(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            if self._error is None:  # after an error only the queue is emptied, so that no writer waits
                try:
                    self._sink.write(data)
                except BaseException as error:  # raised again in the thread that writes
                    self._error = error
