"""Reading dynamic segments: what is in them, files that are damaged, and streams that cannot be sought."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import BinaryIO

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.elf import SharedObject, read_shared_object, seekable
from tests.builder.elf_file import AARCH64, shared_object

FULL = shared_object(
    needed=["libGL.so.1", "libc.so.6"],
    soname="libmine.so.2",
    rpath="$ORIGIN/../libs:/opt/lib",
    runpath="$ORIGIN",
    wants={"libc.so.6": ["GLIBC_2.34", "GLIBC_2.2.5"], "libm.so.6": ["GLIBC_2.29"]},
    gives=["libmine.so.2", "MINE_1.0", "MINE_1.1"],
)


def test_everything_the_loader_asks_is_read() -> None:
    assert read_shared_object(io.BytesIO(FULL), "pkg/libmine.so.2") == SharedObject(
        path="pkg/libmine.so.2",
        machine="EM_X86_64-64",
        soname="libmine.so.2",
        needed=("libGL.so.1", "libc.so.6"),
        rpath=("$ORIGIN/../libs", "/opt/lib"),
        runpath=("$ORIGIN",),
        wants=(("libc.so.6", ("GLIBC_2.34", "GLIBC_2.2.5")), ("libm.so.6", ("GLIBC_2.29",))),
        gives=("libmine.so.2", "MINE_1.0", "MINE_1.1"),
    )


def test_machine_and_interpreter_are_read() -> None:
    data = shared_object(machine=AARCH64, interpreter="/lib/ld-linux-aarch64.so.1")
    found = read_shared_object(io.BytesIO(data), "bin/tool")
    assert found is not None
    assert (found.machine, found.interpreter) == ("EM_AARCH64-64", "/lib/ld-linux-aarch64.so.1")


def test_weakly_wanted_versions_are_not_wanted() -> None:
    data = shared_object(needed=["libc.so.6"], wants={"libc.so.6": ["GLIBC_9.9"]}, weak=True)
    found = read_shared_object(io.BytesIO(data), "x.so")
    assert found is not None
    assert found.wants == (("libc.so.6", ()),)


def test_this_interpreters_own_program_is_read() -> None:
    with Path(sys.executable).resolve().open("rb") as stream:
        found = read_shared_object(stream, "bin/python")
    assert found is not None
    assert found.interpreter is not None
    assert "libc.so.6" in found.needed
    assert any(version.startswith("GLIBC_") for version in dict(found.wants)["libc.so.6"])


@given(st.integers(min_value=0, max_value=len(FULL)))
def test_a_file_that_is_cut_short_is_no_object(length: int) -> None:
    found = read_shared_object(io.BytesIO(FULL[:length]), "x.so")
    assert found is None or length >= len(FULL) - 16  # without the last entry, which says that there are no more


@settings(deadline=None)
@given(st.dictionaries(st.integers(min_value=4, max_value=len(FULL) - 1), st.integers(0, 255), max_size=8))
def test_a_damaged_file_is_read_or_left_but_never_fatal(changes: dict[int, int]) -> None:
    data = bytearray(FULL)
    for place, value in changes.items():
        data[place] = value
    read_shared_object(io.BytesIO(bytes(data)), "x.so")


def test_a_large_object_is_read_from_a_stream_that_only_goes_forward() -> None:
    data = shared_object(needed=["libGL.so.1"], soname="libbig.so", padding=40 << 20)
    opened = []

    def open_() -> BinaryIO:
        opened.append(1)
        return Forward(data)

    with seekable(open_, len(data)) as stream:
        found = read_shared_object(stream, "libbig.so")
    assert found is not None
    assert found.needed == ("libGL.so.1",)
    assert len(opened) == 1


@given(st.lists(st.tuples(st.integers(0, 3 << 20), st.integers(0, 2 << 20)), max_size=6))
def test_a_seekable_view_reads_like_the_file(reads: list[tuple[int, int]]) -> None:
    with seekable(lambda: Forward(PATTERN), len(PATTERN)) as stream:
        for offset, size in reads:
            stream.seek(offset)
            assert stream.read(size) == PATTERN[offset : offset + size]


PATTERN = bytes(range(251)) * (3 * (1 << 20) // 251)


class Forward(io.BytesIO):
    """Bytes that can be read once, in pieces smaller than asked for, as an inflating stream gives them."""

    def seek(self, *_: object) -> int:
        raise AssertionError("a stream from a wheel cannot be sought")

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 300_000) if size and size > 0 else size)
