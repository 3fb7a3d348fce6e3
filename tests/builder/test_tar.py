from __future__ import annotations

import errno
import io
import os
import random
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuilderError
from builder.layers.tar import (
    CHUNK,
    LAYER_MTIME,
    LAYOUT_VERSION,
    Compression,
    Entry,
    Kind,
    WrittenLayer,
    directory,
    is_plain,
    of_bytes,
    symlink,
    write_layer,
)
from compliance.oci.digest import Digest

NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=40
).filter(is_plain)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def written(entries: list[Entry], compression: Compression = Compression.GZIP) -> tuple[WrittenLayer, bytes]:
    blob = io.BytesIO()
    return write_layer(entries, blob, compression=compression), blob.getvalue()


def members(blob: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        return archive.getmembers()


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Entries of every kind that fit together: no file stands where another path needs a directory."""
    paths = draw(st.lists(PATHS, unique=True, min_size=1, max_size=12))
    paths = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
    entries = [
        of_bytes(path, draw(st.binary(max_size=700)), draw(st.sampled_from([0o644, 0o755]))) for path in paths
    ]
    free = [f"links/{number}" for number in range(3) if not any(path.startswith("links") for path in paths)]
    entries += [symlink(path, draw(PATHS)) for path in free[:2]]
    entries += [Entry(path, Kind.HARDLINK, target=draw(st.sampled_from(paths))) for path in free[2:]]
    return entries


@given(trees(), st.randoms(use_true_random=False), st.sampled_from(list(Compression)))
def test_any_order_gives_the_same_bytes(
    entries: list[Entry], shuffle: random.Random, compression: Compression
) -> None:
    first = written(entries, compression)
    shuffle.shuffle(entries)
    assert written(entries, compression) == first


@given(trees())
def test_tar_holds_what_the_entries_say(entries: list[Entry]) -> None:
    layer, blob = written(entries)
    assert layer.descriptor.digest == Digest.of(blob)
    assert layer.descriptor.size == len(blob)
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        found = {member.name: member for member in archive}
        for entry in entries:
            member = found[entry.path]
            assert (member.mode, member.uid, member.gid, member.mtime) == (entry.mode, 0, 0, LAYER_MTIME)
            assert (member.uname, member.gname) == ("", "")
            if entry.content is not None:
                content = archive.extractfile(member)
                assert content is not None
                assert content.read() == entry.content().read()


@given(trees())
def test_parents_and_link_targets_come_first(entries: list[Entry]) -> None:
    seen: set[str] = set()
    for member in members(written(entries)[1]):
        parent = member.name.rpartition("/")[0]
        assert not parent or parent in seen
        assert not member.islnk() or member.linkname in seen
        seen.add(member.name)


def test_hard_link_that_sorts_before_its_target_follows_it() -> None:
    link = Entry("a/link", Kind.HARDLINK, target="z/file")
    _, blob = written([link, of_bytes("z/file", b"content")])
    assert [member.name for member in members(blob)] == ["a", "z", "z/file", "a/link"]


@pytest.mark.parametrize("target", ["missing", "link", "folder"])
def test_hard_link_to_anything_but_a_file_of_the_layer_is_refused(target: str) -> None:
    entries = [directory("folder"), symlink("link", "folder"), Entry("hard", Kind.HARDLINK, target=target)]
    with pytest.raises(BuilderError, match="no file of its layer"):
        written(entries)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/./b",
        "",
        ".",
        "a/",
        "nul\0",
        "surrogate\udc80",
        "n" * 256,
        "ü" * 128,
    ],
)
def test_unsafe_path_is_refused(path: str) -> None:
    with pytest.raises(BuilderError, match="cannot hold the path"):
        written([of_bytes(path, b"")])


@pytest.mark.parametrize("target", ["", "nul\0", "surrogate\udc80"])
def test_unwritable_link_target_is_refused(target: str) -> None:
    with pytest.raises(BuilderError, match="cannot point at"):
        written([symlink("link", target)])


def test_path_twice_is_refused() -> None:
    with pytest.raises(BuilderError, match="'a/b' stands twice"):
        written([of_bytes("a/b", b""), of_bytes("a/b", b"")])


def test_path_under_a_file_is_refused() -> None:
    with pytest.raises(BuilderError, match="lies under 'a', which is not a directory"):
        written([of_bytes("a/b/c", b""), of_bytes("a", b"")])


@pytest.mark.parametrize(("announced", "word"), [(4, "longer"), (6, "shorter")])
def test_file_of_another_length_than_announced_is_refused(announced: int, word: str) -> None:
    entry = Entry("file", size=announced, content=lambda: io.BytesIO(b"12345"))
    with pytest.raises(BuilderError, match=word):
        written([entry])


@pytest.mark.parametrize(
    "entry", [Entry("file", size=1), Entry("file", mode=0o10644), Entry("file", size=-1, content=io.BytesIO)]
)
def test_entry_that_contradicts_itself_is_refused(entry: Entry) -> None:
    with pytest.raises(BuilderError, match="contradicts itself"):
        written([entry])


@pytest.mark.parametrize("path", ["d/" * 60 + "long", "ünïcödé/文件", "n" * 255, "a" * 99 + "/" + "b" * 120])
def test_long_and_foreign_names_survive(path: str) -> None:
    assert path in [member.name for member in members(written([of_bytes(path, b"x")])[1])]


class _Zeros(io.RawIOBase):
    """As many zeros as it is asked to hold, without holding them."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        count = self._left if size < 0 else min(size, self._left)
        self._left -= count
        return bytes(count)


@pytest.mark.acceptance
def test_file_above_eight_gibibytes_is_announced_in_full(tmp_path: Path) -> None:
    size = (8 << 30) + 1
    path = tmp_path / "layer"
    with path.open("wb") as blob:
        entry = Entry("huge", size=size, content=lambda: _Zeros(size))  # type: ignore[arg-type,return-value]
        layer = write_layer([entry], blob)
    with tarfile.open(path, "r|gz") as archive:
        member = archive.next()
    assert member is not None
    assert member.size == size
    assert layer.tar_size > size


def test_compressed_bytes_do_not_depend_on_how_content_arrives() -> None:
    data = os.urandom(CHUNK + 12345)

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 777) if size and size > 0 else size)

    whole = written([of_bytes("f", data)])
    parts = written([Entry("f", size=len(data), content=lambda: Dribble(data))])
    assert whole == parts


@pytest.mark.parametrize("compression", Compression)
def test_this_layout_version_gives_these_very_bytes(compression: Compression) -> None:
    """Changes here change every layer ever made: raise LAYOUT_VERSION with them."""
    entries = [
        of_bytes("opt/venv/bin/tool", b"#!/opt/venv/bin/python\n", 0o755),
        symlink("opt/venv/lib64", "lib"),
        Entry("opt/venv/bin/alias", Kind.HARDLINK, target="opt/venv/bin/tool"),
        of_bytes("ü/" + "n" * 120, b"x"),
    ]
    expected = "sha256:5ff94d4584f1a047b01d00d7ab58d92b795cb8648954c76adfd775722a62e842"
    assert (LAYOUT_VERSION, written(entries, compression)[0].diff_id) == (2, expected)


@pytest.mark.parametrize("room", [0, CHUNK])
def test_full_disk_is_told_and_ends_the_work(room: int) -> None:
    class Full(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    threads = threading.active_count()
    entries = [of_bytes(f"f{number}", os.urandom(CHUNK)) for number in range(12)]
    with pytest.raises(OSError, match="No space left"):
        write_layer(entries, Full())
    assert threading.active_count() == threads


def test_failing_content_ends_the_work() -> None:
    def broken() -> io.BytesIO:
        raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        written([of_bytes("a", bytes(3 * CHUNK)), Entry("b", size=1, content=broken)])
    assert threading.active_count() == threads
