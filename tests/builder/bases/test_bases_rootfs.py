"""What a base is made of besides the files of its packages."""

from pathlib import Path
from typing import Any

import pytest

from builder.bases.rootfs import root_filesystem
from builder.errors import BuilderError
from builder.layers.deb import read_deb
from builder.layers.tar import Entry, Kind
from compliance.base_files import LockedDeb

Tree = dict[str, Entry]


def locked(name: str, version: str = "3.11.2-6") -> LockedDeb:
    return LockedDeb(
        name=name,
        version=version,
        architecture="amd64",
        source=name,
        source_version=version,
        archive="debian",
        path=f"pool/{name}.deb",
        size=1,
        sha256="0" * 64,
    )


@pytest.fixture
def grow(make_deb: Any, make_recipe: Any, needed: Any, tmp_path: Path) -> Any:
    """The tree of a base of the needed packages and those given, by path."""

    def grow(
        extra: dict[str, dict[str, Any]] | None = None, *, without: str | None = None, **changes: Any
    ) -> Tree:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        packages = {name: files for name, files in (needed | (extra or {})).items() if name != without}
        debs = [
            (locked(name), read_deb(make_deb(name, "3.11.2-6", files=files), scratch))
            for name, files in sorted(packages.items())
        ]
        return {entry.path: entry for entry in root_filesystem(make_recipe(**changes), debs)}

    return grow


def text(tree: Tree, path: str) -> str:
    opened = tree[path].content
    assert opened is not None
    with opened() as stream:
        return stream.read().decode()


def test_every_account_is_locked_and_without_a_shell(grow: Any) -> None:
    tree = grow()
    assert text(tree, "etc/passwd").splitlines() == [
        "root:*:0:0:root:/root:/usr/sbin/nologin",
        "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "nonroot:*:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin",
    ]
    assert text(tree, "etc/group").splitlines()[-1] == "nonroot:*:65532:"
    home = tree["home/nonroot"]
    assert (home.kind, home.mode, home.uid, home.gid) == (Kind.DIRECTORY, 0o700, 65532, 65532)
    assert "etc/shadow" not in tree


def test_the_bundle_has_every_certificate_in_the_order_of_names(grow: Any) -> None:
    tree = grow()
    assert text(tree, "etc/ssl/certs/ca-certificates.crt") == "first\nsecond\n"
    assert tree["usr/lib/ssl/cert.pem"].target == "/etc/ssl/certs/ca-certificates.crt"


def test_an_empty_virtual_environment_is_at_the_prefix(grow: Any) -> None:
    tree = grow()
    assert tree["opt/venv/bin/python3.11"].target == "/usr/bin/python3.11"
    assert {tree[f"opt/venv/bin/{name}"].target for name in ("python", "python3")} == {"python3.11"}
    assert tree["opt/venv/lib/python3.11/site-packages"].kind is Kind.DIRECTORY
    assert "version = 3.11.2\n" in text(tree, "opt/venv/pyvenv.cfg")
    assert "include-system-site-packages = false\n" in text(tree, "opt/venv/pyvenv.cfg")
    assert tree["usr/bin/python3"].target == "python3.11"
    assert tree["app"].kind is Kind.DIRECTORY


def test_scanners_find_each_package_and_the_sums_of_the_files_that_are_here(grow: Any) -> None:
    tree = grow()
    assert text(tree, "var/lib/dpkg/status.d/libc-bin").startswith(
        "Package: libc-bin\nStatus: install ok installed\nVersion: 3.11.2-6\n"
    )
    assert text(tree, "var/lib/dpkg/status.d/libc-bin.md5sums") == ""
    assert text(tree, "var/lib/dpkg/status.d/python3.11-minimal.md5sums").endswith("  usr/bin/python3.11\n")


def test_usr_is_merged_where_there_is_something_to_merge(grow: Any) -> None:
    tree = grow({"libc6": {"lib64/ld.so": b"loader", "lib/x86_64/libc.so.6": b"libc"}})
    links = {path: entry.target for path, entry in tree.items() if entry.kind is Kind.SYMLINK and "/" not in path}
    assert links == {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
    assert {"usr/lib64/ld.so", "usr/lib/x86_64/libc.so.6"} <= tree.keys()


def test_exclude_drops_include_brings_back_and_no_empty_directory_stays(grow: Any) -> None:
    files = {
        "usr/share/doc/": (0o755, b""),
        "usr/share/doc/x/": (0o755, b""),
        "usr/share/doc/x/changelog.gz": b"",
        "usr/share/doc/x/copyright": b"MIT",
        "usr/share/doc/y": "x",
        "usr/share/man/": (0o755, b""),
        "usr/share/man/man1/": (0o755, b""),
        "usr/share/man/man1/x.1": b"",
        "usr/share/empty/": (0o755, b""),
    }
    patterns = {"exclude": ["usr/share/doc/*/*", "usr/share/man/*"], "include": ["usr/share/doc/*/copyright"]}
    found = {path for path in grow({"xx": files}, files=patterns) if path in {name.rstrip("/") for name in files}}
    assert found == {
        "usr/share/doc",
        "usr/share/doc/x",
        "usr/share/doc/x/copyright",
        "usr/share/doc/y",
        "usr/share/empty",
    }


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_file_with_its_owners_rights_stops_the_build_unless_excluded(grow: Any, mode: int) -> None:
    with pytest.raises(BuilderError, match="/usr/bin/su of xx would run with its owner's rights") as caught:
        grow({"xx": {"usr/bin/su": (mode, b"")}})
    assert caught.value.remedy == "Exclude it in the recipe, under files."


def test_a_file_with_its_owners_rights_can_be_excluded(grow: Any) -> None:
    assert "usr/bin/su" not in grow({"xx": {"usr/bin/su": (0o4755, b"")}}, files={"exclude": ["usr/bin/su"]})


def test_two_packages_with_one_file_are_named(grow: Any) -> None:
    with pytest.raises(BuilderError, match=r"xx and yy both ship /usr/lib/same"):
        grow({"xx": {"lib/same": b"1"}, "yy": {"usr/lib/same": b"2"}})


def test_a_package_may_not_ship_what_is_made_here(grow: Any) -> None:
    with pytest.raises(BuilderError, match="etc/passwd is made here but a package ships it too"):
        grow({"xx": {"etc/passwd": b"root::0:0::/:/bin/sh"}})


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("base-passwd", "no package ships /usr/share/base-passwd/passwd.master"),
        ("ca-certificates", "no package ships CA certificates"),
        ("libc-bin", "no package ships /usr/share/libc-bin/nsswitch.conf"),
        ("python3.11-minimal", "the base has no python3.11-minimal"),
    ],
)
def test_a_base_without_what_it_needs_is_refused(grow: Any, without: str, said: str) -> None:
    with pytest.raises(BuilderError, match=said):
        grow(without=without)
