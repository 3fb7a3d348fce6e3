"""Compressed files, decompressed from the beginning as far as anybody reads, in bounded memory."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

CHUNK: Final = 1 << 16
MAX_MEMORY: Final = 128 << 20

_DAMAGE: Final = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def decompressed(head: bytes, stream: BinaryIO) -> BinaryIO | None:
    """What `stream` decompresses to, as a stream that ends early where it is damaged.

    Known by the first bytes: gzip, zlib, bzip2, xz and lzma, which is what joblib and pandas write.
    None when it is none of them.
    """
    for is_ours, chunks in _KINDS:
        if is_ours(head):
            return cast(BinaryIO, io.BufferedReader(_Chunks(chunks(stream)), CHUNK))
    return None


def _is_zlib(head: bytes) -> bool:
    """RFC 1950: compression method 8, a window of at most 32 KiB, no dictionary, and a check value."""
    return len(head) > 1 and head[0] == 0x78 and not head[1] & 0x20 and (head[0] << 8 | head[1]) % 31 == 0


def _zlib(window: int) -> Callable[[BinaryIO], Iterator[bytes]]:
    def chunks(stream: BinaryIO) -> Iterator[bytes]:
        state = zlib.decompressobj(window)
        while not state.eof:
            data = state.unconsumed_tail or stream.read(CHUNK)
            if not data:
                return
            yield state.decompress(data, CHUNK)

    return chunks


def _bz2(stream: BinaryIO) -> Iterator[bytes]:
    return _fed(bz2.BZ2Decompressor(), stream)


def _lzma(stream: BinaryIO) -> Iterator[bytes]:
    return _fed(lzma.LZMADecompressor(memlimit=MAX_MEMORY), stream)


def _fed(state: bz2.BZ2Decompressor | lzma.LZMADecompressor, stream: BinaryIO) -> Iterator[bytes]:
    while not state.eof:
        data = stream.read(CHUNK) if state.needs_input else b""
        if state.needs_input and not data:
            return
        yield state.decompress(data, CHUNK)


_KINDS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Iterator[bytes]]], ...]] = (
    (lambda head: head.startswith(b"\x1f\x8b\x08"), _zlib(31)),
    (_is_zlib, _zlib(15)),
    (lambda head: head.startswith(b"BZh"), _bz2),
    (lambda head: head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")), _lzma),
)


class _Chunks(io.RawIOBase):
    """Chunks as a stream. Damage ends it: a loader would not get further either."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override] # narrower than any buffer
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except _DAMAGE:
                chunk = None
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
