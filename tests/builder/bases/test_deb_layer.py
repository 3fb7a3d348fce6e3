"""Debian packages turned into layer entries."""

import contextlib
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import BuilderError
from builder.layers.deb import Deb, merged, read_deb
from builder.layers.tar import Entry, Kind
from tests.examples import examples


def entry(deb: Deb, path: str) -> Entry:
    return next(entry for entry in deb.entries if entry.path == path)


def content(deb: Deb, path: str) -> bytes:
    opened = entry(deb, path).content
    assert opened is not None
    with opened() as stream:
        return stream.read()


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_files_links_and_modes_come_out_whatever_the_compression(
    make_deb: Any, tmp_path: Path, compression: str
) -> None:
    files = {
        "usr/": (0o755, b""),
        "usr/share/": (0o755, b""),
        "usr/share/text": b"text" * 1000,
        "usr/share/tool": (0o755, b"#!/bin/tool"),
        "usr/share/link": "text",
    }
    deb = read_deb(make_deb(files=files, compression=compression), tmp_path)
    assert deb.control.startswith("Package: tiny\nVersion: 1.0-1\n")
    assert [(e.path, e.kind, e.mode, e.uid) for e in deb.entries] == [
        ("usr", Kind.DIRECTORY, 0o755, 0),
        ("usr/share", Kind.DIRECTORY, 0o755, 0),
        ("usr/share/text", Kind.FILE, 0o644, 0),
        ("usr/share/tool", Kind.FILE, 0o755, 0),
        ("usr/share/link", Kind.SYMLINK, 0o777, 0),
    ]
    assert content(deb, "usr/share/text") == b"text" * 1000
    assert entry(deb, "usr/share/link").target == "text"
    assert set(deb.md5sums) == {"usr/share/text", "usr/share/tool"}


def test_paths_and_sums_are_in_merged_usr_form(make_deb: Any, tmp_path: Path) -> None:
    files = {"lib64/ld.so": b"loader", "bin/": (0o755, b""), "library/x": b""}
    deb = read_deb(make_deb(files=files), tmp_path)
    assert [e.path for e in deb.entries] == ["usr/lib64/ld.so", "usr/bin", "library/x"]
    assert set(deb.md5sums) == {"usr/lib64/ld.so", "library/x"}
    assert (merged("sbin/x"), merged("usr/sbin/x"), merged("lib")) == ("usr/sbin/x", "usr/sbin/x", "usr/lib")


def test_the_links_of_merged_usr_are_not_the_packages_to_bring(make_deb: Any, tmp_path: Path) -> None:
    assert read_deb(make_deb(files={"bin": "usr/bin", "lib": "usr/lib"}), tmp_path).entries == ()


def test_a_hard_link_becomes_a_file_of_its_own(make_deb: Any, tmp_path: Path) -> None:
    link = tarfile.TarInfo("./usr/a-second-name")
    link.type, link.linkname = tarfile.LNKTYPE, "./usr/name"
    deb = read_deb(make_deb(files={"usr/name": (0o755, b"same")}, members=(link,)), tmp_path)
    assert entry(deb, "usr/a-second-name").kind is Kind.FILE
    assert entry(deb, "usr/a-second-name").mode == 0o755
    assert content(deb, "usr/a-second-name") == b"same"


def test_only_the_sticky_bit_of_directories_is_kept(make_deb: Any, tmp_path: Path) -> None:
    deb = read_deb(make_deb(files={"tmp/": (0o1777, b""), "var/mail/": (0o2775, b"")}), tmp_path)
    assert [e.mode for e in deb.entries] == [0o1777, 0o775]


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (member("./dev/null", tarfile.CHRTYPE), "dev/null is neither a file"),
        (member("./run/pipe", tarfile.FIFOTYPE), "run/pipe is neither a file"),
        (member("./../etc/passwd", tarfile.REGTYPE), "it holds the path"),
        (member("/etc/passwd", tarfile.REGTYPE), "it holds the path"),
        (member("./a/./b", tarfile.REGTYPE), "it holds the path"),
        (member("./x", tarfile.LNKTYPE, "./nowhere"), "not a sound Debian package"),
    ],
    ids=["device", "pipe", "climbing", "absolute", "dotted", "dangling hard link"],
)
def test_what_has_no_place_in_a_layer_is_refused(
    make_deb: Any, tmp_path: Path, bad: tarfile.TarInfo, said: str
) -> None:
    with pytest.raises(BuilderError, match=r"tiny_1\.0-1_amd64\.deb.*" + said):
        read_deb(make_deb(members=(bad,)), tmp_path)


@pytest.mark.parametrize(
    "name", ["is-no-archive", "has-no-control", "has-no-data", "is-of-format-3", "header-is-cut"]
)
def test_what_is_no_package_is_refused(make_deb: Any, tmp_path: Path, name: str) -> None:
    good = make_deb(files={"usr/x": b"x"}, compression="").read_bytes()
    bad = {
        "is-no-archive": b"\x7fELF" + good,
        "has-no-control": good.replace(b"control.tar ", b"control.zip "),
        "has-no-data": good.replace(b"data.tar ", b"data.zip "),
        "is-of-format-3": good.replace(b"2.0\n", b"3.0\n"),
        "header-is-cut": good[:100],
    }[name]
    path = tmp_path / f"{name}.deb"
    path.write_bytes(bad)
    with pytest.raises(BuilderError, match=name):
        read_deb(path, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60), deadline=None)
@given(cut=st.floats(0, 1), flip=st.floats(0, 1), value=st.integers(1, 255))
def test_a_damaged_package_is_refused_or_read_but_never_crashes(
    make_deb: Any, tmp_path: Path, cut: float, flip: float, value: int
) -> None:
    good = bytearray(make_deb(files={"usr/x": b"x" * 3000, "usr/y": "x"}).read_bytes())
    good[int(flip * (len(good) - 1))] ^= value
    path = tmp_path / "damaged.deb"
    path.write_bytes(good[: int(cut * len(good))] if cut < 0.5 else good)
    scratch = tmp_path / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    with contextlib.suppress(BuilderError):
        for found in read_deb(path, scratch).entries:
            if found.content is not None:
                found.content().close()
