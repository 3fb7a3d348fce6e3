import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import uv
from packaging.pylock import PackageWheel
from packaging.tags import Tag

from builder.errors import BuilderError
from builder.target import Target
from builder.wheels import best_wheel
from compliance.bases import BaseDefinition, find_base, read_bases

ROOT = Path(__file__).resolve().parents[2]
TARGET = Target("3.11", "x86_64", 36)


def _wheel(tag: str) -> PackageWheel:
    return PackageWheel(url=f"https://index.invalid/a-1.0-{tag}.whl", hashes={"sha256": "0" * 64})


def test_of_the_curated_base() -> None:
    base = find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")
    assert Target.of(base) == TARGET
    assert TARGET.platform == "x86_64-manylinux_2_36"


@pytest.mark.parametrize(
    "base", read_bases(ROOT / "base-images"), ids=lambda base: f"{base.name}-{base.architecture}"
)
def test_uv_resolves_for_every_curated_base(base: BaseDefinition) -> None:
    platform = Target.of(base).uv_platform
    command = [uv.find_uv_bin(), "pip", "compile", "--offline", "--quiet", "--python-platform", platform, "-"]
    subprocess.run(command, input=b"", check=True)


@pytest.mark.parametrize(("glibc", "asked"), [(36, 36), (30, 28), (40, 40), (41, 40), (5, 17)])
def test_uv_is_asked_for_the_newest_platform_it_knows(glibc: int, asked: int) -> None:
    assert Target("3.13", "aarch64", glibc).uv_platform == f"aarch64-manylinux_2_{asked}"


def test_a_base_that_no_wheel_is_for() -> None:
    base = find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")
    strange = replace(base, image=base.image.model_copy(update={"architecture": "riscv64"}))
    with pytest.raises(BuilderError, match="architecture 'riscv64'"):
        Target.of(strange)


@pytest.mark.parametrize(
    ("python", "platform"),
    [("3.11", "win_amd64"), ("3", "x86_64-manylinux_2_36"), ("3.11", "x86_64-manylinux_3_1")],
)
def test_what_is_not_a_target(python: str, platform: str) -> None:
    assert Target.parse(python, platform) is None


def test_what_it_says_it_reads() -> None:
    assert Target.parse(TARGET.python, TARGET.platform) == TARGET


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_17_x86_64"),
        ("cp311-cp311-manylinux2014_x86_64", "cp311-abi3-manylinux_2_28_x86_64"),
        ("cp38-abi3-manylinux1_x86_64", "py3-none-any"),
        ("py3-none-manylinux_2_17_x86_64", "py3-none-any"),
        ("cp311-none-any", "py3-none-any"),
    ],
)
def test_the_better_wheel_wins(better: str, worse: str) -> None:
    wheels = [_wheel(worse), _wheel(better)]
    assert best_wheel(wheels, TARGET.tags) == wheels[1]


@pytest.mark.parametrize(
    "tag",
    [
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_37_x86_64",
        "cp311-cp311-manylinux_2_28_aarch64",
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-win_amd64",
        "pp311-pypy311_pp73-manylinux_2_28_x86_64",
        "py2-none-any",
    ],
)
def test_what_does_not_fit_is_never_chosen(tag: str) -> None:
    assert best_wheel([_wheel(tag)], TARGET.tags) is None


def test_the_higher_build_number_wins() -> None:
    first, second = _wheel("1-py3-none-any"), _wheel("2-py3-none-any")
    assert best_wheel([first, second], TARGET.tags) == second


def test_arm_has_no_legacy_platforms_but_one() -> None:
    tags = Target("3.11", "aarch64", 36).tags
    assert Tag("cp311", "cp311", "manylinux2014_aarch64") in tags
    assert Tag("cp311", "cp311", "manylinux1_aarch64") not in tags
