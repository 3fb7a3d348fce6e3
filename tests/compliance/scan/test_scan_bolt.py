"""The bbolt writer, read back by a reader that shares no code with it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.scan.bolt import MAX_KEY, PAGE_SIZE, to_bytes, write_bolt
from tests.examples import examples

META, FREELIST, LEAF, BRANCH = 4, 16, 2, 1


class Reader:
    """Reads a whole bbolt file and checks on the way what bbolt's own `check` command checks."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.seen: set[int] = set()

    def buckets(self) -> dict[bytes, Any]:
        assert len(self.data) % PAGE_SIZE == 0
        metas = [self.meta(number) for number in (0, 1)]
        root, freelist, high_water, _ = max(metas, key=lambda meta: meta[3])
        assert high_water == len(self.data) // PAGE_SIZE
        kind, count, _ = self.header(freelist)
        assert (kind, count) == (FREELIST, 0)
        result = self.bucket_at(root)
        assert self.seen == set(range(high_water)) - {0, 1}, "every page is reachable exactly once"
        return result

    def meta(self, number: int) -> tuple[int, int, int, int]:
        start = number * PAGE_SIZE
        assert struct.unpack_from("<QHHI", self.data, start) == (number, META, 0, 0)
        magic, version, size, flags, root, sequence, freelist, pages, transaction, checksum = struct.unpack_from(
            "<4I6Q", self.data, start + 16
        )
        assert (magic, version, size, flags, sequence) == (0xED0CDAED, 2, PAGE_SIZE, 0, 0)
        state = 14695981039346656037
        for byte in self.data[start + 16 : start + 16 + 56]:
            state = (state ^ byte) * 1099511628211 % 2**64
        assert checksum == state
        return root, freelist, pages, transaction

    def header(self, number: int) -> tuple[int, int, int]:
        own, kind, count, overflow = struct.unpack_from("<QHHI", self.data, number * PAGE_SIZE)
        assert own == number
        covered = set(range(number, number + overflow + 1))
        assert not covered & self.seen
        self.seen |= covered
        return kind, count, overflow

    def bucket_at(self, number: int) -> dict[bytes, Any]:
        pairs = self.tree(number)
        keys = [key for key, _ in pairs]
        assert keys == sorted(set(keys))
        return dict(pairs)

    def tree(self, number: int) -> list[tuple[bytes, Any]]:
        kind, count, overflow = self.header(number)
        start = number * PAGE_SIZE
        if kind == LEAF:
            return self.leaf(self.data[start : start + (overflow + 1) * PAGE_SIZE], count)
        assert kind == BRANCH
        assert count >= 2
        pairs = []
        for index in range(count):
            at = start + 16 + index * 16
            position, size, child = struct.unpack_from("<IIQ", self.data, at)
            below = self.tree(child)
            assert self.data[at + position :][:size] == below[0][0]
            pairs += below
        return pairs

    def leaf(self, page: bytes, count: int) -> list[tuple[bytes, Any]]:
        pairs = []
        for index in range(count):
            at = 16 + index * 16
            flags, position, key_size, value_size = struct.unpack_from("<4I", page, at)
            start = at + position
            assert start + key_size + value_size <= len(page)
            key, value = page[start : start + key_size], page[start + key_size :][:value_size]
            pairs.append((key, self.nested(value) if flags else value))
        return pairs

    def nested(self, value: bytes) -> dict[bytes, Any]:
        root, sequence = struct.unpack_from("<QQ", value)
        assert sequence == 0
        if root:
            return self.bucket_at(root)
        number, kind, count, overflow = struct.unpack_from("<QHHI", value, 16)
        assert (number, kind, overflow) == (0, LEAF, 0)
        assert len(value) - 16 <= PAGE_SIZE // 4
        return dict(self.leaf(value[16:], count))


def plain(bucket: Mapping[bytes, Any]) -> dict[bytes, Any]:
    return {key: plain(value) if isinstance(value, Mapping) else value for key, value in bucket.items()}


keys = st.binary(min_size=1, max_size=60)
values = st.one_of(st.binary(max_size=80), st.integers(900, 9000).map(lambda size: b"v" * size))
trees = st.recursive(
    st.dictionaries(keys, values, max_size=25),
    lambda below: st.dictionaries(keys, st.one_of(values, below), max_size=25),
    max_leaves=6,
)


@given(st.dictionaries(keys, trees, max_size=6))
@settings(max_examples=examples(60), deadline=None)
def test_what_is_written_is_read_back(buckets: dict[bytes, Any]) -> None:
    assert Reader(to_bytes(buckets)).buckets() == plain(buckets)


@given(st.integers(0, 4000), st.integers(0, 300), st.integers(1, 120))
@settings(max_examples=12, deadline=None)
def test_any_number_of_keys(count: int, value_size: int, key_size: int) -> None:
    bucket = {b"%d" % index + b"k" * key_size: b"v" * value_size for index in range(count)}
    assert Reader(to_bytes({b"pip::source": bucket})).buckets() == {b"pip::source": bucket}


def test_thousands_of_nested_buckets() -> None:
    packages = {
        b"package-%05d" % number: {b"CVE-%d" % cve: b"{}" * (number % 40) for cve in range(number % 30)}
        for number in range(3000)
    }
    assert Reader(to_bytes({b"debian 12": packages})).buckets() == {b"debian 12": packages}


def test_a_value_larger_than_a_page_overflows() -> None:
    bucket = {b"small": b"1", b"vast": b"x" * 3_000_000, b"zero": b""}
    assert Reader(to_bytes({b"b": bucket})).buckets() == {b"b": bucket}


def test_longest_keys() -> None:
    bucket = {b"%03d" % number + b"k" * (MAX_KEY - 3): b"" for number in range(20)}
    assert Reader(to_bytes({b"b": bucket})).buckets() == {b"b": bucket}


def test_no_buckets_at_all() -> None:
    assert Reader(to_bytes({})).buckets() == {}


def test_order_of_insertion_does_not_change_the_bytes() -> None:
    forwards = {b"%d" % number: {b"a": b"1", b"b": b"2"} for number in range(500)}
    backwards = {key: {b"b": b"2", b"a": b"1"} for key in reversed(forwards)}
    assert to_bytes({b"x": forwards, b"y": {}}) == to_bytes({b"y": {}, b"x": backwards})


@pytest.mark.parametrize("key", [b"", b"k" * (MAX_KEY + 1)], ids=["empty", "too long"])
def test_keys_that_bbolt_refuses(key: bytes) -> None:
    with pytest.raises(ValueError, match="a key has 1 to"):
        to_bytes({b"bucket": {key: b""}})


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "trivy.db"
    write_bolt(path, {b"old": {}})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="a key has"):
        write_bolt(path, {b"new": {b"": b""}})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
