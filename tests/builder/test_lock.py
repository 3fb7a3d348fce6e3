import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock

from builder.lock_facts import as_evidence, inventory_packages
from builder.lock_pins import is_current
from builder.lock_reader import parse_lock, read_lock
from builder.lock_writer import render
from builder.lockfile import LockedModel, LockedWheel, Pins
from builder.models.asked import Model
from builder.spec import Spec
from builder.target import Target
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.errors import InvalidInput
from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
GOOD = DATA / "lock-good.toml"
WHOLE = DATA / "lock-good-whole.toml"
SDIST = DATA / "lock-good-sdist.toml"
BAD = sorted((DATA / "lock-bad").glob("*.toml"))
LAYER = Digest("sha256:" + "1a" * 32)


@pytest.fixture(scope="module")
def base() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.mark.parametrize("path", [GOOD, WHOLE, SDIST], ids=lambda path: path.stem)
def test_reads_what_it_writes(path: Path) -> None:
    lock = read_lock(path)
    assert render(lock.pins, lock.wheels, lock.system, lock.models) == path.read_bytes()
    assert lock.digest == Digest.of(path.read_bytes())


def test_debian_packages_and_models_are_read() -> None:
    lock = read_lock(WHOLE)
    assert lock.system is not None
    assert [(deb.name, deb.licence, deb.depends) for deb in lock.system.debs] == [
        ("libgl1", "MIT", ("libc6", "libglvnd0")),
        ("libglvnd0", None, ()),
    ]
    assert [(model.source, model.to, model.size) for model in lock.models] == [
        ("model/iris.skops", "/models/iris.skops", 2815),
        ("https://models.invalid/net.gguf", "/models/net.gguf", None),
    ]


def test_a_source_is_read_with_what_builds_it() -> None:
    source = read_lock(SDIST).wheels[0]
    assert source.filename == "fast_math-2.0.tar.gz"
    assert source.build is not None
    assert (source.build.wheel, source.build.sha256) == ("fast_math-2.0-py3-none-any.whl", "7" * 64)
    assert [(tool.name, tool.version, tool.sha256) for tool in source.build.tools] == [
        ("setuptools", "80.9.0", "8" * 64)
    ]


def test_a_lock_is_a_standard_pylock() -> None:
    assert [package.name for package in Pylock.from_dict(tomllib.loads(GOOD.read_text())).packages] == [
        "fast-math",
        "model-server",
    ]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path: Path) -> None:
    expected = re.match(r"# expected: (\d+): (.*)", path.read_text())
    assert expected is not None
    with pytest.raises(InvalidInput) as failure:
        read_lock(path)
    assert failure.value.message.startswith(f"{path}:{expected[1]}: {expected[2]}")
    assert failure.value.remedy is not None
    assert "mlbuild lock" in failure.value.remedy


def test_without_a_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as failure:
        read_lock(tmp_path / "pylock.toml")
    assert "mlbuild lock" in (failure.value.remedy or "")


@given(
    licence=st.none() | st.text(min_size=1, max_size=60),
    size=st.none() | st.integers(0, 2**40),
    when=st.none() | st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),  # noqa: DTZ001
)
def test_any_text_of_a_package_survives(licence: str | None, size: int | None, when: datetime | None) -> None:
    lock = read_lock(GOOD)
    wheels = tuple(replace(wheel, licence=licence, size=size, upload_time=when) for wheel in lock.wheels)
    raw = render(lock.pins, wheels)
    assert parse_lock(raw, GOOD).wheels == wheels


def test_the_best_of_several_wheels_is_chosen(tmp_path: Path) -> None:
    text = GOOD.read_text()
    line = next(line for line in text.splitlines() if "fast_math" in line)
    pure = line.replace("cp311-cp311-manylinux_2_28_x86_64", "py3-none-any")
    older = line.replace("manylinux_2_28", "manylinux_2_17")
    path = tmp_path / "pylock.toml"
    path.write_text(text.replace(line, "\n".join([pure, older, line])))
    assert read_lock(path).wheels[0].filename == "fast_math-2.0-cp311-cp311-manylinux_2_28_x86_64.whl"


def test_as_evidence_and_as_inventory() -> None:
    lock = read_lock(GOOD)
    evidence = as_evidence(lock)
    assert evidence.digest == lock.digest
    assert [(package.name, package.index) for package in evidence.packages] == [
        ("fast-math", "https://index.invalid/simple"),
        ("model-server", "https://index.invalid/simple"),
    ]
    math, server = inventory_packages(lock, {"fast-math": LAYER, "model-server": LAYER})
    assert (math.purl, math.chain, math.licence) == (
        "pkg:pypi/fast-math@2.0",
        ("model-server", "fast-math"),
        "BSD-3-Clause",
    )
    assert (server.depends_on, server.ecosystem, server.origin) == (
        ("pkg:pypi/fast-math@2.0",),
        Ecosystem.PYPI,
        Origin.DEPENDENCY,
    )
    assert math.layer == LAYER
    assert all(package.layer is None for package in inventory_packages(lock))


def _written(directory: Path, base: BaseDefinition, requirements: tuple[str, ...]) -> Path:
    pins = Pins(base.name, base.digest, Target.of(base), requirements)
    wheels: tuple[LockedWheel, ...] = read_lock(GOOD).wheels
    path = directory / "pylock.toml"
    path.write_bytes(render(pins, wheels))
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model-server>=1\n", None),
        ("# why\n\nModel_Server >= 1  # a comment and another spelling change nothing\n", None),
        ("model-server>=2\n", "the requirements have changed: + model-server>=2, - model-server>=1"),
        ("model-server>=1\ntqdm\n", "the requirements have changed: + tqdm"),
        ("model-server>=1\n-c limits.txt\n", "the constraints have changed: + numpy<3"),
        (
            "--index-url https://me:token@index.invalid/simple\nmodel-server>=1\n",
            "the index options have changed: + --index-url https://index.invalid/simple",
        ),
    ],
)
def test_is_current_goes_by_what_is_asked_for(
    tmp_path: Path, base: BaseDefinition, text: str, reason: str | None
) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    (tmp_path / "limits.txt").write_text("numpy<3\n")
    lock = read_lock(_written(tmp_path, base, ("model-server>=1",)))
    spec = Spec(image="a/b", base=base.name, requirements=("requirements.txt",))
    assert is_current(lock, spec, base) == (reason is None, reason or "the lock answers the spec")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"system": ("libgl1",)}, "the Debian packages have changed: + libgl1"),
        ({"models": ({"path": "net.gguf"},)}, "the models have changed: + net.gguf to /models/net.gguf"),
    ],
)
def test_is_current_goes_by_debian_packages_and_models(
    tmp_path: Path, base: BaseDefinition, asked: dict[str, Any], reason: str
) -> None:
    lock = read_lock(_written(tmp_path, base, ()))
    spec = Spec(image="a/b", base=base.name, dependencies=(), **asked)
    assert is_current(lock, spec, base) == (False, reason)


def test_a_lock_of_another_sha256_than_the_specs_is_not_current(tmp_path: Path, base: BaseDefinition) -> None:
    model = Model(path="net.gguf")
    pins = Pins(base.name, base.digest, Target.of(base), (), models=("net.gguf to /models/net.gguf",))
    path = tmp_path / "pylock.toml"
    path.write_bytes(render(pins, (), None, [LockedModel("net.gguf", None, model.target, "a" * 64, 1)]))
    lock = read_lock(path)
    for sha256, current in ((None, True), ("a" * 64, True), ("b" * 64, False)):
        spec = Spec(image="a/b", base=base.name, dependencies=(), models=(Model(path="net.gguf", sha256=sha256),))
        assert is_current(lock, spec, base)[0] is current


def test_is_current_goes_by_the_base(tmp_path: Path, base: BaseDefinition) -> None:
    lock = read_lock(_written(tmp_path, base, ()))
    spec = Spec(image="a/b", base=base.name, dependencies=())
    assert is_current(lock, spec, base)[0]
    rebuilt = replace(lock, pins=replace(lock.pins, base_digest=Digest("sha256:" + "0" * 64)))
    current, reason = is_current(rebuilt, spec, base)
    assert not current
    assert "sha256:" + "0" * 64 in reason
    renamed = replace(lock, pins=replace(lock.pins, base_name="python3.10-slim"))
    assert is_current(renamed, spec, base) == (
        False,
        f"the spec names the base {base.name}, the lock is for python3.10-slim",
    )
