"""Debian packages above the base as parts of an image."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.lockfile import LockedSystem
from builder.system.inventory import chains, system_packages
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.errors import InvalidInput
from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest

ROOT = Path(__file__).resolve().parents[3]
LAYER = Digest.of(b"layer")


@pytest.fixture(scope="module")
def base() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


def deb(name: str, *depends: str, archive: str = "debian") -> LockedDeb:
    return LockedDeb(
        name=name,
        version="1:2.0-3",
        architecture="amd64",
        source=f"{name}-source",
        source_version="2.0-3",
        archive=archive,
        path=f"pool/{name}.deb",
        size=1,
        sha256="a" * 64,
        depends=depends,
    )


def locked(*debs: LockedDeb) -> LockedSystem:
    return LockedSystem(datetime(2026, 1, 1, tzinfo=UTC), debs)


def test_a_package_is_a_dependency_with_the_way_to_it(base: BaseDefinition) -> None:
    gl, glx = system_packages(locked(deb("libgl1", "libc6", "libglx0"), deb("libglx0")), ["libgl1"], base, LAYER)
    assert (gl.ecosystem, gl.origin, gl.layer) == (Ecosystem.DEBIAN, Origin.DEPENDENCY, LAYER)
    assert glx.purl == "pkg:deb/debian/libglx0@1:2.0-3?arch=amd64&distro=debian-12"
    assert (gl.chain, glx.chain) == (("libgl1",), ("libgl1", "libglx0"))
    assert (gl.source_name, gl.source_version) == ("libgl1-source", "2.0-3")
    libc = next(package.purl for package in base.packages if package.name == "libc6")
    assert gl.depends_on == (libc, glx.purl)


def test_chains_are_shortest_and_end_where_packages_go_in_circles() -> None:
    debs = [deb("aa", "bb"), deb("bb", "cc", "aa"), deb("cc", "aa"), deb("dd", "cc")]
    assert chains(debs, ["dd", "aa"]) == {
        "aa": ("aa",),
        "bb": ("aa", "bb"),
        "cc": ("dd", "cc"),
        "dd": ("dd",),
    }


@pytest.mark.parametrize(
    ("edited", "reason"),
    [
        (deb("libc6"), "libc6 is in the base already"),
        (deb("libgl1", archive="elsewhere"), "comes from 'elsewhere', which is no archive of the base"),
        (deb("libgl1", "nobody"), "depends on nobody, which is neither locked nor in the base"),
    ],
)
def test_a_lock_that_does_not_go_with_the_base_is_refused(
    base: BaseDefinition, edited: LockedDeb, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason) as failure:
        system_packages(locked(edited), ["libgl1"], base, None)
    assert "mlbuild lock" in (failure.value.remedy or "")
