"""What may lie on the layers below."""

import io
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.layers.below import Below, read_below
from builder.layers.tar import Entry, directory, of_bytes, symlink, write_layer


@pytest.fixture
def below(tmp_path: Path) -> Below:
    entries = [
        of_bytes("usr/lib/libc.so.6", b"c"),
        symlink("lib", "usr/lib"),
        directory("tmp", 0o1777),
        directory("home/nonroot", 0o700, uid=65532, gid=65532),
        of_bytes("var/lib/dpkg/status.d/libc6", b"Package: libc6\nVersion: 2.36\n"),
        of_bytes("var/lib/dpkg/status.d/libc6.md5sums", b""),
    ]
    blob = io.BytesIO()
    write_layer(entries, blob)
    (tmp_path / "layer").write_bytes(blob.getvalue())
    return read_below([tmp_path / "layer"])


def admitted(below: Below, *entries: Entry) -> list[tuple[str, int, int]]:
    found = below.admit({entry.path: entry for entry in entries}, "the package")
    return sorted((entry.path, entry.mode, entry.uid) for entry in found)


def test_packages_are_known_by_their_control_texts(below: Below) -> None:
    assert below.controls == {"libc6": "Package: libc6\nVersion: 2.36\n"}


def test_what_is_there_already_is_not_repeated(below: Below) -> None:
    new = of_bytes("usr/lib/libnew.so", b"n")
    assert admitted(below, new, symlink("lib", "usr/lib"), directory("usr/lib")) == [
        ("usr/lib/libnew.so", 0o644, 0)
    ]


def test_directories_keep_their_mode_and_owner(below: Below) -> None:
    assert admitted(below, of_bytes("tmp/a/b", b""), of_bytes("home/nonroot/x", b"")) == [
        ("home/nonroot", 0o700, 65532),
        ("home/nonroot/x", 0o644, 0),
        ("tmp", 0o1777, 0),
        ("tmp/a/b", 0o644, 0),
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (of_bytes("usr/lib/libc.so.6", b"evil"), "would replace /usr/lib/libc.so.6"),
        (symlink("lib", "opt/lib"), "would replace /lib"),
        (of_bytes("usr/lib", b""), "would replace /usr/lib"),
        (directory("usr/lib/libc.so.6"), "would replace /usr/lib/libc.so.6"),
        (of_bytes("lib/x", b""), "would put /lib/x into /lib, which is no directory"),
        (of_bytes("usr/lib/libc.so.6/x", b""), "into /usr/lib/libc.so.6, which is no directory"),
    ],
)
def test_nothing_below_is_replaced(below: Below, entry: Entry, reason: str) -> None:
    with pytest.raises(BuilderError, match=reason):
        admitted(below, entry)
