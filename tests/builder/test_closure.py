"""Whether what wheels need is in the image: each rule of refusing and of letting be, with hand-made objects."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.cache import Cache, Recipe, StoredLayer
from builder.closure import check_closure
from builder.debian_libraries import package_with
from builder.layers.tar import Entry, of_bytes, symlink, write_layer
from builder.layers.wheel import WheelInput
from builder.progress import Quiet
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.errors import InvalidInput
from compliance.inventory import OperatingSystem
from tests.builder.elf_file import AARCH64, shared_object

ROOT = Path(__file__).parents[2]
LIB = "usr/lib/x86_64-linux-gnu"
EXT = "cpython-311-x86_64-linux-gnu.so"
CODE = b"x = 1\n"


class Noted(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def slim() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def layer(cache: Cache, entries: list[Entry]) -> StoredLayer:
    return cache.make_layer(
        Recipe("test", tuple(entry.path for entry in entries)), lambda b: write_layer(entries, b)
    )


@pytest.fixture
def base_layer(cache: Cache) -> StoredLayer:
    libc = shared_object(soname="libc.so.6", gives=["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.36"])
    return layer(
        cache,
        [
            symlink("lib", "usr/lib"),
            of_bytes(f"{LIB}/libc.so.6", libc),
            of_bytes(f"{LIB}/libgomp.so.1.0.0", shared_object(soname="libgomp.so.1", needed=["libc.so.6"])),
            symlink(f"{LIB}/libgomp.so.1", "libgomp.so.1.0.0"),
        ],
    )


@pytest.fixture
def check(cache: Cache, slim: BaseDefinition, base_layer: StoredLayer):
    def run(
        *wheels: WheelInput,
        depends_on: Mapping[str, tuple[str, ...]] | None = None,
        layers: tuple[StoredLayer, ...] = (),
        **options: object,
    ) -> list[str]:
        noted = Noted()
        check_closure(wheels, depends_on or {}, slim, [base_layer, *layers], cache, noted, **options)
        return [line for line in noted.lines if not line.startswith("Reading")]

    return run


def refusal(check, *wheels: WheelInput, **options: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as failure:
        check(*wheels, **options)
    return failure.value


def test_a_library_that_is_nowhere_is_told_with_the_package_that_has_it(check, make_wheel) -> None:
    wheel = make_wheel({"cv2/__init__.py": CODE, "cv2/cv2.abi3.so": shared_object(needed=["libGL.so.1"])})
    error = refusal(check, wheel)
    assert error.message == (
        "demo 1.0 cannot be loaded: cv2/cv2.abi3.so needs libGL.so.1, which is not in the image"
    )
    assert error.remedy == (
        "Debian 12 has it in libgl1: write `system: [libgl1]` in mlbuild.yaml, "
        "or ask the owner of python3.11-slim, Platform team <platform@example.com>."
    )


def test_the_way_to_what_is_missing_is_told(check, make_wheel) -> None:
    inner = shared_object(soname="libQt-1a2b.so.5", needed=["libfoo.so.9"])
    outer = shared_object(needed=["libQt-1a2b.so.5"], rpath="$ORIGIN/../demo.libs")
    wheel = make_wheel({f"demo/_x.{EXT}": outer, "demo.libs/libQt-1a2b.so.5": inner, "demo/__init__.py": CODE})
    error = refusal(check, wheel)
    assert f"demo/_x.{EXT} needs libfoo.so.9 (through libQt-1a2b.so.5), which" in error.message
    assert "provided-libraries: [libfoo.so.9]" in (error.remedy or "")


@pytest.mark.parametrize(
    "data",
    [
        shared_object(needed=["libc.so.6"], wants={"libc.so.6": ["GLIBC_2.34"]}),
        shared_object(needed=["libgomp.so.1"]),
        shared_object(needed=["libcuda.so.1", "libnvidia-ml.so.1"]),
        shared_object(needed=["libGL.so.1"], machine=AARCH64),
        shared_object(needed=["libc.musl-x86_64.so.1", "libGL.so.1"]),
    ],
    ids=["glibc-of-the-base", "by-a-link-of-the-base", "of-the-driver", "of-another-machine", "for-musl"],
)
def test_what_is_there_or_not_for_this_image_is_let_be(check, make_wheel, data: bytes) -> None:
    assert check(make_wheel({"demo/__init__.py": CODE, f"demo/_x.{EXT}": data})) == []


def test_a_version_that_the_base_does_not_have_is_refused(check, make_wheel) -> None:
    data = shared_object(needed=["libc.so.6"], wants={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.38"]})
    error = refusal(check, make_wheel({"demo/__init__.py": CODE, f"demo/_x.{EXT}": data}))
    assert "needs GLIBC_2.38 of libc.so.6 (the image has up to GLIBC_2.36), which" in error.message
    assert "newer base" in (error.remedy or "")


def test_a_library_beside_is_found_only_as_the_loader_would_or_within_the_wheel(check, make_wheel) -> None:
    """Not in the wheel of a stranger, although it lies in the same image."""
    asks = {"asks/__init__.py": CODE, f"asks/_x.{EXT}": shared_object(needed=["libhelp.so.1"])}
    helper = {"helper/__init__.py": CODE, "helper/libhelp.so.1": shared_object(soname="libhelp.so.1")}
    asking, other = make_wheel(asks, name="asks"), make_wheel(helper, name="helper")
    refusal(check, asking, other)
    assert check(asking, other, depends_on={"asks": ("between",), "between": ("helper",)}) == []
    assert (
        check(asking, other, variables={"LD_LIBRARY_PATH": "/opt/venv/lib/python3.11/site-packages/helper"}) == []
    )
    inside = {**asks, "asks/inner/libhelp.so.1": shared_object(soname="libhelp.so.1")}
    assert check(make_wheel(inside, name="asks", version="2.0")) == []


def test_runpath_reaches_into_another_wheel(check, make_wheel) -> None:
    asks = shared_object(needed=["libhelp.so.1"], runpath="${ORIGIN}/../helper")
    asking = make_wheel({"asks/__init__.py": CODE, f"asks/_x.{EXT}": asks}, name="asks")
    helper = {"helper/__init__.py": CODE, "helper/libhelp.so.1": shared_object(soname="libother.so")}
    assert check(asking, make_wheel(helper, name="helper")) == []


def test_a_wheel_that_only_carries_libraries_serves_all_and_needs_nothing_itself(check, make_wheel) -> None:
    carrier = make_wheel(
        {
            "nvidia/__init__.py": b"",
            "nvidia/cufile/lib/libcufile.so.0": shared_object(soname="libcufile.so.0"),
            "nvidia/cufile/lib/libcufile_rdma.so.1": shared_object(needed=["libibverbs.so.1"]),
        },
        name="nvidia_cufile",
    )
    assert check(carrier) == []
    user = make_wheel(
        {"user/__init__.py": CODE, f"user/_x.{EXT}": shared_object(needed=["libcufile.so.0"])}, name="user"
    )
    assert check(carrier, user) == []
    rdma = shared_object(needed=["libcufile_rdma.so.1"])
    assert (
        "libibverbs.so.1" in refusal(check, carrier, make_wheel({"u/__init__.py": CODE, "u/u.so": rdma})).message
    )


def test_an_optional_module_that_misses_something_is_told_in_a_line(check, make_wheel) -> None:
    files = {
        "demo/__init__.py": b"from . import core\ntry:\n    from . import _pool\nexcept ImportError:\n    pass\n",
        "demo/core.py": b"from demo._core import *\n",
        f"demo/_core.{EXT}": shared_object(needed=["libc.so.6"]),
        f"demo/_pool.{EXT}": shared_object(needed=["libtbb.so.12"]),
    }
    assert check(make_wheel(files)) == [
        f"demo 1.0: demo/_pool.{EXT} needs libtbb.so.12, which is not in the image; the rest of it can be loaded"
    ]


@pytest.mark.parametrize(
    "code",
    [
        b"from . import _pool\n",
        b"from ._pool import run\n",
        b"import demo._pool\n",
        b"class A:\n    from demo import _pool\n",
    ],
)
def test_a_module_that_is_always_imported_is_not_optional(check, make_wheel, code: bytes) -> None:
    files = {
        "demo/__init__.py": b"from demo import core\n",
        "demo/core.py": code,
        f"demo/_core.{EXT}": shared_object(needed=["libc.so.6"]),
        f"demo/_pool.{EXT}": shared_object(needed=["libtbb.so.12"]),
    }
    assert "libtbb.so.12" in refusal(check, make_wheel(files)).message


def test_of_variants_that_all_miss_something_the_one_that_debian_has_is_asked_for(check, make_wheel) -> None:
    files = {
        "mpi/__init__.py": CODE,
        f"mpi/MPI.mpich.{EXT}": shared_object(needed=["libmpi.so.12"]),
        f"mpi/MPI.openmpi.{EXT}": shared_object(needed=["libmpi.so.40", "libGL.so.1"]),
    }
    error = refusal(check, make_wheel(files))
    assert error.message == (
        f"demo 1.0 cannot be loaded: mpi/MPI.openmpi.{EXT} needs libmpi.so.40, libGL.so.1, which are not in the "
        "image. Other files of it need libmpi.so.12"
    )
    assert "system: [libgl1, libopenmpi3]" in (error.remedy or "")


def test_libraries_loaded_by_name_count_when_none_can_be_loaded(check, make_wheel) -> None:
    files = {"demo/__init__.py": CODE, "demo/lib_demo.so": shared_object(needed=["libfoo.so.1"])}
    refusal(check, make_wheel(files))
    variant = {**files, "demo/lib_demo_cpu.so": shared_object(needed=["libc.so.6"])}
    assert len(check(make_wheel(variant, version="2.0"))) == 1


def test_what_the_spec_vouches_for_and_what_system_layers_bring_is_there(check, make_wheel, cache: Cache) -> None:
    wheel = make_wheel({"demo/__init__.py": CODE, "demo/x.abi3.so": shared_object(needed=["libGL.so.1"])})
    assert check(wheel, provided=("libGL.so.1",)) == []
    system = layer(cache, [of_bytes(f"{LIB}/libGL.so.1", shared_object(soname="libGL.so.1"))])
    assert check(wheel, layers=(system,)) == []
    incomplete = layer(
        cache, [of_bytes(f"{LIB}/libGL.so.1", shared_object(needed=["libGLX.so.0"])), symlink("a", "b")]
    )
    assert "libGLX.so.0 (through libGL.so.1)" in refusal(check, wheel, layers=(incomplete,)).message


def test_libraries_in_the_data_scheme_are_at_the_prefix(check, make_wheel) -> None:
    mkl = make_wheel({"mkl-1.0.data/data/lib/libmkl.so.2": shared_object(soname="libmkl.so.2")}, name="mkl")
    asks = shared_object(needed=["libmkl.so.2"], rpath="/opt/venv/lib")
    assert check(mkl, make_wheel({"u/__init__.py": CODE, f"u/_x.{EXT}": asks}, name="u")) == []


def test_what_was_read_once_is_not_read_again(check, make_wheel, cache: Cache) -> None:
    wheel = make_wheel({"demo/__init__.py": CODE, "demo/x.abi3.so": shared_object(needed=["libc.so.6"])})
    check(wheel)
    wheel.path.unlink()
    assert check(wheel) == []
    for record in cache.records("elf").iterdir():
        record.write_bytes(b"{")  # not whole: made again, which needs the wheel
    with pytest.raises(Exception, match="cannot be read"):
        check(wheel)


@pytest.mark.parametrize(
    ("library", "version", "package"),
    [
        ("libGL.so.1", "12", "libgl1"),
        ("libglib-2.0.so.0", "12", "libglib2.0-0"),
        ("libglib-2.0.so.0", "13", "libglib2.0-0t64"),
        ("libpython3.11.so.1.0", "12", "libpython3.11"),
        ("libsndfile.so.1", "12", "libsndfile1"),
        ("libgomp.so.1", "12", "libgomp1"),
        ("libnobody.so.1.2.3", "12", None),
        ("libGL.so.1", "99", None),
    ],
)
def test_the_table_knows_packages_by_release(library: str, version: str, package: str | None) -> None:
    assert package_with(library, OperatingSystem("debian", version)) == package


def test_layers_that_are_no_tar_are_refused(check, cache: Cache, make_wheel) -> None:
    bad = cache.make_layer(Recipe("bad", ()), lambda blob: write_layer([of_bytes("a", b"1")], blob))
    bad.path.write_bytes(io.BytesIO(b"\x1f\x8bnot gzip").getvalue())
    with pytest.raises(InvalidInput):
        check(make_wheel(), layers=(bad,))
