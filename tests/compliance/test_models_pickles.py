"""Pickles are followed without being run."""

from __future__ import annotations

import bz2
import collections
import datetime
import decimal
import gzip
import io
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.models import HEAD, Recognised, detect
from compliance.models.pickle_machine import End, walk

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Shell:
    """What an attacker would save as a model."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/mlbuild-was-here",)


def recognise(data: bytes) -> Recognised | None:
    return detect(data[:HEAD], lambda: io.BytesIO(data), "")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_imports_are_found_in_every_protocol(protocol: int) -> None:
    value = collections.OrderedDict(when=datetime.date(2026, 1, 1), amount=decimal.Decimal("1.5"))
    found = walk(io.BytesIO(pickle.dumps(value, protocol)))
    assert found.end is End.STOP
    assert {"collections.OrderedDict", "datetime.date", "decimal.Decimal"} <= set(found.imports)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_is_found_and_not_made(protocol: int) -> None:
    found = recognise(pickle.dumps(Shell(), protocol))
    assert found == Recognised("pickle", f"unpickling it imports {os.name}.system")
    assert not Path("/tmp/mlbuild-was-here").exists()


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_compressed_pickles_are_pickles(compress: Callable[[bytes], bytes]) -> None:
    found = recognise(compress(pickle.dumps(Shell())))
    assert found == Recognised("pickle", f"unpickling it imports {os.name}.system")
    assert recognise(compress(b"only text, over and over. " * 50)) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_of_plain_data_is_one_but_safe(protocol: int) -> None:
    assert recognise(pickle.dumps({"a": [1, 2.5, "x"], "b": (None, True, b"")}, protocol))
    found = recognise(pickle.dumps({"weights": [0.5] * 20, "name": "linear"}, protocol))
    assert found == Recognised("pickle", None)


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"cos\nsystem\n(S'id'\ntR.and what no unpickler reads",
        b"\x80\x02cos\nsystem\n(X\x02\0\0\0idtR\xff broken, but not before the call",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x04\x8c\x06system0\x8c\x02os\x94h\x00\x8c\x06system\x93.",
        b"\x80\x02K\x01.\x80\x02cos\nsystem\n.",
    ],
)
def test_hand_made_pickles_do_not_hide_their_imports(data: bytes) -> None:
    found = recognise(data)
    assert found is not None
    assert found.unsafe is not None
    assert "os.system" in found.unsafe


def test_an_import_by_computed_name_is_named_with_a_question_mark() -> None:
    found = recognise(b"\x80\x04]]\x93.")
    assert found == Recognised("pickle", "unpickling it imports ?.?")


def test_the_extension_registry_counts_as_an_import() -> None:
    assert recognise(b"\x80\x02\x82\x05.") == Recognised("pickle", "unpickling it imports extension code 5")


def test_what_tells_most_comes_first_and_the_list_is_short() -> None:
    lines = b"".join(b"clibrary\nname%d\n" % number for number in range(30))
    found = recognise(b"\x80\x02(" + lines + b"csubprocess\nPopen\nl.")
    assert found is not None
    assert found.unsafe is not None
    assert found.unsafe.startswith("unpickling it imports subprocess.Popen, library.name0, ")
    assert found.unsafe.endswith(" and 23 more")


def test_large_arguments_are_skipped_and_not_held() -> None:
    class Endless(io.RawIOBase):
        """A pickle that announces 1 TiB of bytes: asked for the first, it must not be asked for all at once."""

        largest = 0

        def __init__(self) -> None:
            self._start = io.BytesIO(b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little"))
            self._left = 64 << 20

        def read(self, size: int = -1) -> bytes:
            self.largest = max(self.largest, size)
            data = self._start.read(size)
            if not data and self._left > 0:
                data = bytes(size)
                self._left -= size
            return data

    stream = Endless()
    assert walk(stream).end is End.CUT  # type: ignore[arg-type]
    assert stream.largest <= 1 << 16


def test_a_pickle_too_long_to_follow_is_not_called_safe() -> None:
    found = recognise(b"\x80\x02]" + b"K\x01a" * 200_000 + b".")
    assert found == Recognised("pickle", "a pickle that could not be read to its end")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02.",
        b"\x80\x02R.",
        b"\x80\x02t.",
        b"\x80\x02h\x05.",
        b"\x80\x06N.",
        b"\x80\x02c.\n\n.",
        b"\x80\x02gx\n.",
    ],
)
def test_what_no_unpickler_accepts_is_no_pickle(data: bytes) -> None:
    assert recognise(data) is None


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.frozensets(st.text())
    ),
)


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_any_plain_value_walks_to_its_end(value: Any, protocol: int) -> None:
    found = walk(io.BytesIO(pickle.dumps(value, protocol)))
    assert found.end is End.STOP
    allowed = {
        "_codecs.encode",
        "__builtin__.bytes",
        "__builtin__.frozenset",
        "builtins.bytes",
        "builtins.frozenset",
    }
    assert set(found.imports) <= allowed
