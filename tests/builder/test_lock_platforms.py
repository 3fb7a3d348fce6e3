"""One lock for two platforms, and builds for an accelerator: against real indexes, with the real uv."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.cuda import cuda_of, required_driver
from builder.lock import lock_project
from builder.lock_pins import is_current
from builder.lock_reader import read_lock
from builder.lockfile import LockFile
from builder.progress import Quiet
from builder.spec import read_spec
from compliance.bases import find_architectures, read_bases
from compliance.errors import InvalidInput
from tests.builder.wheel_index import Index, make_wheel, serve_index

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
BASES = read_bases(ROOT / "base-images")
BOTH = "[linux/arm64, linux/amd64]"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    with serve_index(files) as running:
        yield running


class Workplace:
    """A project directory that is locked against one index."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.index = index
        self.spec_path = root / "project" / "mlbuild.yaml"
        self.spec_path.parent.mkdir()

    def wheel(self, name: str, version: str = "1.0", *, arch: str = "", requires: tuple[str, ...] = ()) -> None:
        tag = f"cp311-cp311-manylinux_2_28_{arch}" if arch else "py3-none-any"
        make_wheel(self.index.files, name, version, tag=tag, requires=requires)

    def lock(
        self, dependencies: str, further: str, base: str = "python3.11-slim", table: Path | None = None
    ) -> LockFile:
        self.spec_path.write_text(f"image: a/b\nbase: {base}\ndependencies: {dependencies}\n{further}\n")
        spec = read_spec(self.spec_path)
        by_architecture = {one.architecture: one for one in find_architectures(BASES, base)}
        first, *others = (by_architecture[name] for name in spec.architectures)
        lock = lock_project(
            spec,
            self.spec_path,
            first,
            Cache(self.root / "cache"),
            Quiet(),
            now=NOW,
            further=others,
            sdists=False,
            accelerators=table,
            environment={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root),
                "UV_CACHE_DIR": str(self.root / "uv"),
                "UV_HTTP_RETRIES": "0",
                "UV_DEFAULT_INDEX": self.index.url,
                "PIP_CONFIG_FILE": os.devnull,
            },
        )
        assert is_current(lock, spec, first, *others) == (True, "the lock answers the spec")
        assert read_lock(lock.path) == lock
        return lock


@pytest.fixture
def workplace(tmp_path: Path, index: Index) -> Workplace:
    return Workplace(tmp_path, index)


def files(lock: LockFile) -> list[str]:
    return [wheel.filename for wheel in lock.wheels]


def test_each_platform_has_wheels_of_its_own_and_the_rest_in_common(workplace: Workplace) -> None:
    workplace.wheel("fast", arch="x86_64")
    workplace.wheel("fast", arch="aarch64")
    workplace.wheel("pure", requires=("fast", "driver; platform_machine == 'x86_64'"))
    workplace.wheel("driver")
    amd64, arm64 = workplace.lock("[pure]", f"platforms: {BOTH}").each
    assert files(amd64) == [
        "driver-1.0-py3-none-any.whl",
        "fast-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "pure-1.0-py3-none-any.whl",
    ]
    assert files(arm64) == ["fast-1.0-cp311-cp311-manylinux_2_28_aarch64.whl", "pure-1.0-py3-none-any.whl"]
    assert amd64.wheels[2].depends_on == ("driver", "fast")
    assert arm64.wheels[1].depends_on == ("fast",)
    assert amd64.digest == arm64.digest
    assert amd64.pins.base_digest != arm64.pins.base_digest
    assert amd64.path.read_text().count('\nname = "fast"') == 1


def test_the_version_that_all_platforms_have_is_chosen(workplace: Workplace) -> None:
    for version, arch in (("1.0", "x86_64"), ("1.0", "aarch64"), ("2.0", "x86_64")):
        workplace.wheel("fast", version, arch=arch)
    lock = workplace.lock("[fast]", f"platforms: {BOTH}")
    assert [part.wheels[0].version for part in lock.each] == ["1.0", "1.0"]


def test_a_package_for_one_platform_only_is_told_with_the_platform(workplace: Workplace) -> None:
    workplace.wheel("fast", arch="x86_64")
    with pytest.raises(InvalidInput) as failure:
        workplace.lock("[fast]", f"platforms: {BOTH}")
    assert "aarch64" in failure.value.message


def test_another_choice_of_platforms_makes_a_lock_stale(workplace: Workplace) -> None:
    workplace.wheel("pure")
    lock = workplace.lock("[pure]", "")
    workplace.spec_path.write_text(workplace.spec_path.read_text() + f"platforms: {BOTH}\n")
    bases = find_architectures(BASES, "python3.11-slim")
    current, reason = is_current(lock, read_spec(workplace.spec_path), *bases)
    assert not current
    assert reason == "the spec is for x86_64 and aarch64, the lock for x86_64"


def test_a_lock_whose_other_platform_was_edited_is_refused(workplace: Workplace) -> None:
    workplace.wheel("pure")
    lock = workplace.lock("[pure]", f"platforms: {BOTH}")
    digest = lock.further[0].pins.base_digest
    lock.path.write_text(lock.path.read_text().replace(digest, f"sha256:{'0' * 64}"))
    with pytest.raises(InvalidInput, match="edited by hand"):
        read_lock(lock.path)


def cuda(
    workplace: Workplace, dependencies: str, accelerator: str = "cuda12", table: Path | None = None
) -> LockFile:
    return workplace.lock(dependencies, f"accelerator: {accelerator}", "python3.13-cuda", table)


def test_the_driver_that_is_asked_for_is_that_of_the_locked_runtime(workplace: Workplace) -> None:
    workplace.wheel("torch", requires=("nvidia-cuda-runtime-cu12",))
    workplace.wheel("nvidia-cuda-runtime-cu12", "12.8.90")
    lock = cuda(workplace, "[torch]")
    assert required_driver("cuda12", lock.wheels) == {"NVIDIA_REQUIRE_CUDA": "cuda>=12.8"}
    assert required_driver(None, lock.wheels) == {}
    assert lock.pins.accelerator == "cuda12"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("nvidia-cublas-cu11", "11.1"), ("nvidia-cublas-cu12", "12.1")),
        (("nvidia-cudnn-cu12", "9.0"), ("nvidia-cublas", "13.0")),
        (("cupy-cuda11x", "13.0"), ("torch-like", "2.0+cu121")),
    ],
)
def test_two_copies_of_cuda_are_refused_with_the_way_to_each(
    workplace: Workplace, one: tuple[str, str], other: tuple[str, str]
) -> None:
    workplace.wheel("trainer", requires=(one[0],))
    workplace.wheel("server", requires=(other[0],))
    workplace.wheel(*one)
    workplace.wheel(*other)
    with pytest.raises(InvalidInput) as failure:
        cuda(workplace, "[trainer, server]")
    assert "2 copies of CUDA" in failure.value.message
    assert f"{one[0]} {one[1]}, by trainer > {one[0]}" in failure.value.message
    assert f"{other[0]} {other[1]}, by server > {other[0]}" in failure.value.message
    assert failure.value.message.startswith(f"{workplace.spec_path}:4:")


def test_packages_for_another_cuda_are_refused(workplace: Workplace) -> None:
    workplace.wheel("nvidia-cublas-cu12", "12.1")
    with pytest.raises(InvalidInput, match="the accelerator is cuda13, and the packages bring another"):
        cuda(workplace, "[nvidia-cublas-cu12]", "cuda13")


def test_a_base_without_cuda_is_refused(workplace: Workplace) -> None:
    with pytest.raises(InvalidInput, match=r"cuda12 needs a base for CUDA, and python3\.11-slim is not for it"):
        workplace.lock("[]", "accelerator: cuda12")


@pytest.mark.acceptance  # an index, and uv for each platform
def test_builds_for_the_accelerator_come_from_the_index_of_the_table(workplace: Workplace, tmp_path: Path) -> None:
    workplace.wheel("model", requires=("torch",))
    workplace.wheel("torch", "2.0", requires=("nvidia-cublas-cu12",))
    workplace.wheel("nvidia-cublas-cu12", "12.1")
    workplace.wheel("tools")
    special = tmp_path / "special"
    special.mkdir()
    make_wheel(special, "torch", "2.0+cpu")
    make_wheel(special, "tools", "9.0")
    with serve_index(special) as other:
        table = tmp_path / "table.toml"
        table.write_text(f'[cpu]\nindex = "{other.url}"\npackages = ["torch"]\n')
        lock = workplace.lock("[model, tools]", f"accelerator: cpu\nplatforms: {BOTH}", table=table)
    for part in lock.each:
        assert [(wheel.name, wheel.version, wheel.direct) for wheel in part.wheels] == [
            ("model", "1.0", True),
            ("tools", "1.0", True),
            ("torch", "2.0+cpu", False),
        ]
        assert part.wheels[2].index == other.url


@pytest.mark.parametrize(
    ("name", "version", "major"),
    [
        ("nvidia-nccl-cu13", "2.28", 13),
        ("jax-cuda12-plugin", "0.6", 12),
        ("nvidia-cuda-runtime", "13.0.96", 13),
        ("nvidia-ml-py", "13.580", None),
        ("torch", "2.5.1+cpu", None),
        ("torch", "2.5.1+cu124", 12),
        ("numpy", "2.0", None),
    ],
)
def test_the_cuda_of_a_package(name: str, version: str, major: int | None) -> None:
    assert cuda_of(name, version) == major
