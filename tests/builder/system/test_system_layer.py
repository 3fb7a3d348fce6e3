"""The layer of a project's Debian packages, on a tiny base."""

import re
import tarfile
from collections.abc import Sequence
from typing import Any

import pytest

from builder.bases.build import BuiltBase
from builder.cache import Cache
from builder.errors import BuilderError
from builder.image import ImageLayer
from builder.lockfile import LockedSystem
from builder.progress import Quiet
from builder.system.layer import system_layer
from compliance.base_files import LockedDeb
from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest
from tests.builder.system.conftest import CREATED, Stock

POSTINST = b"""#!/bin/sh
update-alternatives --install /usr/lib/libblas.so.3 libblas.so.3 /usr/lib/blas/libblas.so.3 10
"""


class Layers:
    """Makes layers on the base."""

    def __init__(self, base: BuiltBase, cache: Cache) -> None:
        self.base, self.cache = base, cache

    def make(self, debs: Sequence[LockedDeb], *asked: str) -> ImageLayer:
        layer = system_layer(self.base, LockedSystem(CREATED, tuple(debs)), asked, self.cache, Quiet())
        assert layer is not None
        return layer

    def tree(self, debs: Sequence[LockedDeb], *asked: str) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(self.make(debs, *asked).path) as archive:
            return {member.name: member for member in archive}


@pytest.fixture
def layers(base: BuiltBase, cache: Cache) -> Layers:
    return Layers(base, cache)


def test_files_come_in_merged_form_with_the_package_listed(layers: Layers, stock: Stock) -> None:
    tree = layers.tree(
        [stock("libgl1", {"lib/libGL.so.1": b"gl", "usr/share/doc/libgl1/copyright": b"c"})], "libgl1"
    )
    assert {name for name, member in tree.items() if not member.isdir()} == {
        "usr/lib/libGL.so.1",
        "usr/share/doc/libgl1/copyright",
        "var/lib/dpkg/status.d/libgl1",
        "var/lib/dpkg/status.d/libgl1.md5sums",
    }
    assert {(member.uid, member.gid, member.uname) for member in tree.values()} == {(0, 0, "")}


def test_it_says_whose_it_is(layers: Layers, stock: Stock) -> None:
    layer = layers.make([stock("libgl1", {"usr/lib/x": b""})], "libgl1")
    assert (layer.origin, layer.ecosystem) == (Origin.DEPENDENCY, Ecosystem.DEBIAN)
    assert (layer.contents, layer.packages) == ("Debian packages: libgl1", ())


def test_programs_are_kept_of_what_was_named_and_left_out_of_what_came_along(layers: Layers, stock: Stock) -> None:
    debs = [
        stock("ffmpeg", {"usr/bin/ffmpeg": (0o755, b"f"), "usr/share/doc/ffmpeg/README": b""}, "helper"),
        stock("helper", {"usr/bin/helper": (0o755, b"h"), "usr/lib/libhelper.so": b""}),
    ]
    files = layers.tree(debs, "ffmpeg")
    assert {"usr/bin/ffmpeg", "usr/lib/libhelper.so"} <= files.keys()
    assert not {"usr/bin/helper", "usr/share/doc/ffmpeg/README"} & files.keys()
    assert "usr/bin/helper" in layers.tree(debs, "ffmpeg", "helper")


def test_links_of_alternatives_are_made(layers: Layers, stock: Stock) -> None:
    deb = stock("libblas3", {"usr/lib/blas/libblas.so.3": b"b"}, postinst=POSTINST)
    tree = layers.tree([deb], "libblas3")
    assert tree["usr/lib/libblas.so.3"].linkname == "/etc/alternatives/libblas.so.3"
    assert tree["etc/alternatives/libblas.so.3"].linkname == "/usr/lib/blas/libblas.so.3"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"usr/lib/mount": (0o4755, b"m")}, "/usr/lib/mount of evil would run with its owner's rights"),
        ({"etc/passwd": b"root::0:0::/:/bin/sh"}, "the Debian packages would replace /etc/passwd"),
        ({"var/lib/dpkg/status.d/libc6": b"", "opt/venv/bin/python": b""}, "would replace /opt/venv/bin/python"),
        ({"opt/venv/lib64/x": b""}, "would put /opt/venv/lib64/x into /opt/venv/lib64, which is no directory"),
    ],
)
def test_what_would_change_the_base_or_its_rights_is_refused(
    layers: Layers, stock: Stock, files: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BuilderError, match=re.escape(reason)):
        layers.make([stock("evil", files)], "evil")


def test_two_packages_with_one_file_are_refused(layers: Layers, stock: Stock) -> None:
    debs = [stock("one", {"usr/lib/x": b"1"}), stock("two", {"usr/lib/x": b"2"})]
    with pytest.raises(BuilderError, match="one and two both ship /usr/lib/x"):
        layers.make(debs, "one", "two")


def test_the_same_packages_give_the_same_layer_in_another_cache(
    base: BuiltBase, layers: Layers, stock: Stock, tmp_path: Any
) -> None:
    debs = [stock("libgl1", {"usr/lib/x": b"x"}), stock("libglx0", {"usr/lib/y": b"y"})]
    first = layers.make(debs, "libgl1")
    elsewhere = Cache(tmp_path / "elsewhere")
    for deb in debs:
        digest = Digest(f"sha256:{deb.sha256}")
        elsewhere.put([layers.cache.path(digest).read_bytes()], digest)
    second = Layers(base, elsewhere).make(debs, "libgl1")
    assert first.descriptor == second.descriptor
    assert first.diff_id == second.diff_id


def test_nothing_asked_for_is_no_layer(base: BuiltBase, cache: Cache) -> None:
    assert system_layer(base, None, (), cache, Quiet()) is None
    assert system_layer(base, LockedSystem(CREATED, ()), ("libc-bin",), cache, Quiet()) is None


def test_a_file_that_is_not_the_locked_package_is_refused(layers: Layers, stock: Stock) -> None:
    deb = stock("libgl1", {"usr/lib/x": b""}).model_copy(update={"version": "9"})
    with pytest.raises(BuilderError, match="the file locked as libgl1 9 says its Version is"):
        layers.make([deb], "libgl1")
