"""What apt adds to the shipped base, asked of Debian's archives."""

import shutil
from pathlib import Path

import pytest

from builder.bases.resolve import NoSuchPackages, resolve_above
from builder.errors import BuilderError
from compliance.bases import BaseDefinition, find_base, read_bases

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="only apt can resolve Debian packages"),
]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def base() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.fixture(scope="module")
def installed(base: BaseDefinition) -> dict[str, str]:
    return {
        deb.name: f"Package: {deb.name}\nVersion: {deb.version}\nArchitecture: {deb.architecture}\n"
        "Multi-Arch: same\nMaintainer: somebody\nDepends: libc6\n"
        for deb in base.image.packages
    }


def above(base: BaseDefinition, installed: dict[str, str], *names: str) -> list[str]:
    return [deb.name for deb in resolve_above(base.recipe, "amd64", names, installed)]


def test_nothing_of_the_base_is_repeated(base: BaseDefinition, installed: dict[str, str]) -> None:
    assert above(base, installed, "libmagic1") == ["libmagic-mgc", "libmagic1"]
    assert above(base, installed, "libgomp1") == []


def test_what_the_base_leaves_out_comes_back_where_it_is_needed(
    base: BaseDefinition, installed: dict[str, str]
) -> None:
    assert "libdb5.3" in base.recipe.left_out
    assert "libdb5.3" in above(base, installed, "libjack-jackd2-0")


def test_what_serves_scripts_alone_stays_out_unless_it_is_named(
    base: BaseDefinition, installed: dict[str, str]
) -> None:
    assert not {"ucf", "debconf"} & set(above(base, installed, "fontconfig-config"))
    assert "ucf" in above(base, installed, "fontconfig-config", "ucf")


def test_a_package_that_wants_another_version_of_the_bases_is_refused(
    base: BaseDefinition, installed: dict[str, str]
) -> None:
    older = installed["libssl3"].replace("Version: 3.", "Version: 2.")
    with pytest.raises(BuilderError, match="apt finds no packages that go together"):
        above(base, {**installed, "libssl3": older}, "libssl-dev")


def test_unknown_names_come_with_the_nearest(base: BaseDefinition, installed: dict[str, str]) -> None:
    with pytest.raises(NoSuchPackages) as failure:
        above(base, installed, "libmagick1", "libmagic1", "qqqqzzzz")
    assert failure.value.near == {"libmagick1": "libmagic1", "qqqqzzzz": None}
