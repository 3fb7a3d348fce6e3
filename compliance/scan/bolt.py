"""Writes bbolt database files (https://github.com/etcd-io/bbolt, file format version 2), as Trivy reads them.

The whole tree is known before the first byte is written, so the file is laid out in one go: two meta
pages, an empty freelist, then every bucket's pages, children before parents. The same content always gives
the same bytes.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Union

PAGE_SIZE: Final = 4096
"""Written into the meta pages, so that a reader on a machine with larger memory pages follows it."""

MAX_KEY: Final = 32_768
MAX_VALUE: Final = (1 << 31) - 2

_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_BRANCH, _LEAF, _META, _FREELIST = 0x01, 0x02, 0x04, 0x10
_BUCKET_VALUE: Final = 0x01
_MIN_KEYS: Final = 2
_MAX_INLINE: Final = PAGE_SIZE // 4
_FIRST_FREE: Final = 3

_PAGE: Final = struct.Struct("<QHHI")  # id, flags, count, overflow
_LEAF_ELEMENT: Final = struct.Struct("<IIII")  # flags, position, key size, value size
_BRANCH_ELEMENT: Final = struct.Struct("<IIQ")  # position, key size, child page
_BUCKET: Final = struct.Struct("<QQ")  # root page, sequence
_META_BODY: Final = struct.Struct("<IIIIQQQQQ")  # magic … root, sequence, freelist, high water mark, transaction

Bucket = Mapping[bytes, Union[bytes, "Bucket"]]
"""A bucket's keys, each with a value or with a bucket nested in it."""


def write_bolt(path: Path, buckets: Mapping[bytes, Bucket]) -> None:
    """Write `buckets` as the top-level buckets of a database file that replaces `path` in one step.

    Raises ValueError for an empty key or one longer than MAX_KEY, or a value longer than MAX_VALUE.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(to_bytes(buckets))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def to_bytes(buckets: Mapping[bytes, Bucket]) -> bytes:
    """The bytes of a database file with these top-level buckets. Raises ValueError as write_bolt does."""
    pages = _Pages()
    root = pages.add_tree(_elements(buckets, pages))
    freelist = _page(2, _FREELIST, 0, b"")
    metas = [_page(number, _META, 0, _meta(number, root, pages.next)) for number in (0, 1)]
    return b"".join([*metas, freelist, *pages.written])


@dataclass(frozen=True, slots=True)
class _Element:
    """A leaf element: a key with its value, or with the header of the bucket below it."""

    key: bytes
    value: bytes
    flags: int = 0


class _Pages:
    """The pages behind the metas and the freelist, in the order they were added."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.next = _FIRST_FREE

    def add_tree(self, elements: Sequence[_Element]) -> int:
        """Write a B+ tree over sorted `elements` and return its root page."""
        level: list[tuple[bytes, int]] = []
        for start, end in _split([_LEAF_ELEMENT.size + len(item.key) + len(item.value) for item in elements]):
            part = elements[start:end]
            level.append((part[0].key if part else b"", self._add(_LEAF, len(part), _leaf_body(part))))
        while len(level) > 1:
            spans = _split([_BRANCH_ELEMENT.size + len(key) for key, _ in level])
            level = [
                (level[start][0], self._add(_BRANCH, end - start, _branch_body(level[start:end])))
                for start, end in spans
            ]
        return level[0][1]

    def _add(self, kind: int, count: int, body: bytes) -> int:
        number = self.next
        page = _page(number, kind, count, body)
        self.written.append(page)
        self.next += len(page) // PAGE_SIZE
        return number


def _elements(bucket: Bucket, pages: _Pages) -> list[_Element]:
    """The bucket's elements, sorted by key as readers expect. Buckets nested in it are written first."""
    elements = []
    for key in sorted(bucket):
        value = bucket[key]
        if not 0 < len(key) <= MAX_KEY:
            raise ValueError(f"a key has 1 to {MAX_KEY} bytes, not {len(key)}: {key[:40]!r}")
        if isinstance(value, Mapping):
            elements.append(_Element(key, _nested(value, pages), _BUCKET_VALUE))
        elif len(value) > MAX_VALUE:
            raise ValueError(f"the value of {key!r} is longer than {MAX_VALUE} bytes")
        else:
            elements.append(_Element(key, bytes(value)))
    return elements


def _nested(bucket: Bucket, pages: _Pages) -> bytes:
    """The value that stands for a nested bucket: its root page, or the page itself where it is small and flat."""
    elements = _elements(bucket, pages)
    size = _PAGE.size + sum(_LEAF_ELEMENT.size + len(item.key) + len(item.value) for item in elements)
    if size <= _MAX_INLINE and not any(item.flags & _BUCKET_VALUE for item in elements):
        return _BUCKET.pack(0, 0) + _PAGE.pack(0, _LEAF, len(elements), 0) + _leaf_body(elements)
    return _BUCKET.pack(pages.add_tree(elements), 0)


def _split(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a row of elements into pages: as full as they get, but each with at least two elements.

    An element too large for a page makes that page overflow into the ones behind it.
    """
    start, used = 0, _PAGE.size
    for index, size in enumerate(sizes):
        enough = index - start >= _MIN_KEYS and len(sizes) - index >= _MIN_KEYS
        if enough and used + size > PAGE_SIZE:
            yield start, index
            start, used = index, _PAGE.size
        used += size
    yield start, len(sizes)


def _leaf_body(elements: Sequence[_Element]) -> bytes:
    """Element headers, then the data. A position counts from the start of the header that holds it."""
    headers, data = [], []
    position = _LEAF_ELEMENT.size * len(elements)
    for item in elements:
        headers.append(_LEAF_ELEMENT.pack(item.flags, position, len(item.key), len(item.value)))
        data += [item.key, item.value]
        position += len(item.key) + len(item.value) - _LEAF_ELEMENT.size
    return b"".join([*headers, *data])


def _branch_body(children: Sequence[tuple[bytes, int]]) -> bytes:
    """As a leaf's, with each child's first key and page."""
    headers, data = [], []
    position = _BRANCH_ELEMENT.size * len(children)
    for key, child in children:
        headers.append(_BRANCH_ELEMENT.pack(position, len(key), child))
        data.append(key)
        position += len(key) - _BRANCH_ELEMENT.size
    return b"".join([*headers, *data])


def _page(number: int, kind: int, count: int, body: bytes) -> bytes:
    """A page and the overflow pages behind it, filled up with zeros."""
    pages = -(-(_PAGE.size + len(body)) // PAGE_SIZE)
    return (_PAGE.pack(number, kind, count, pages - 1) + body).ljust(pages * PAGE_SIZE, b"\0")


def _meta(transaction: int, root: int, pages: int) -> bytes:
    """The meta with the higher transaction wins; both are valid and say the same."""
    body = _META_BODY.pack(_MAGIC, _VERSION, PAGE_SIZE, 0, root, 0, 2, pages, transaction)
    return body + struct.pack("<Q", fnv1a(body))


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, which bbolt uses as the checksum of a meta page."""
    state = 0xCBF29CE484222325
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state
