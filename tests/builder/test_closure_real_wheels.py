"""The closure of real wheels on the shipped base: what the ML world installs is let be, what cannot work is not.

Refused: opencv-python, whose bundled Qt needs the system's OpenGL; mpi4py, which needs an MPI. Each of the others
is known to import on this base.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from builder.bases.build import BuiltBase, build_base
from builder.cache import Cache
from builder.closure import check_closure
from builder.layers.wheel import WheelInput
from builder.progress import Quiet
from compliance.bases import find_base, read_bases
from compliance.errors import InvalidInput

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]

GOOD = (
    "bcrypt==4.3.0",
    "cryptography==45.0.5",
    "debugpy==1.8.14",  # objects for other systems
    "grpcio==1.73.1",
    "h5py==3.14.0",
    "lightgbm==4.6.0",  # needs libgomp of the base; loaded by name
    "lxml==6.0.0",
    "matplotlib==3.10.3",
    "numba==0.61.2",  # one module needs TBB, which is optional
    "numpy==2.2.6",  # needs libstdc++ of the base
    "nvidia-cufile-cu12==1.13.1.3",  # carries a plugin for RDMA
    "onnxruntime==1.22.0",
    "orjson==3.10.18",
    "pandas==2.3.0",
    "pillow==11.2.1",
    "psycopg2-binary==2.9.10",
    "pymssql==2.3.5",
    "pyzmq==27.0.0",
    "scikit-learn==1.7.0",
    "scipy==1.15.3",
    "soundfile==0.13.1",
    "tbb==2022.2.0",  # in the data scheme
    "tokenizers==0.21.2",
)
BAD = {
    "mpi4py==4.1.0": ("libmpi.so", "libopenmpi3"),
    "opencv-python==4.11.0.86": ("libGL.so.1", "libgl1"),
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WheelInput]:
    root = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-m", "venv", root / "tool"], check=True)
    command = [root / "tool" / "bin" / "python", "-m", "pip", "download", "--no-deps", "--dest", root / "files"]
    target = ["--only-binary", ":all:", "--python-version", "3.11"]
    target += [f"--platform=manylinux_2_{minor}_x86_64" for minor in (36, 28, 27, 17, 12, 5)]
    target += ["--platform=manylinux2014_x86_64", "--platform=manylinux2010_x86_64"]
    subprocess.run([*command, *target, *GOOD, *BAD], check=True, capture_output=True)
    found = {}
    for path in (root / "files").iterdir():
        name, version, _, _ = parse_wheel_filename(path.name)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found[name] = WheelInput(path, name, str(version), digest)
    return {item: found[canonicalize_name(item.partition("==")[0])] for item in (*GOOD, *BAD)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def base(cache: Cache) -> BuiltBase:
    return build_base(find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64"), cache, Quiet())


@pytest.mark.parametrize("item", GOOD)
def test_what_works_is_let_be(item: str, wheels, base: BuiltBase, cache: Cache) -> None:
    check_closure([wheels[item]], {}, base.definition, base.layers, cache, Quiet())


@pytest.mark.parametrize("item", BAD)
def test_what_cannot_work_is_refused(item: str, wheels, base: BuiltBase, cache: Cache) -> None:
    library, package = BAD[item]
    with pytest.raises(InvalidInput) as failure:
        check_closure([wheels[item]], {}, base.definition, base.layers, cache, Quiet())
    assert library in failure.value.message
    assert package in (failure.value.remedy or "")


def test_the_base_needs_nothing_that_it_does_not_have(base: BuiltBase, cache: Cache) -> None:
    """Its interpreter's own extension modules among it."""
    from builder.loader import LoaderView, Placed
    from builder.objects import objects_of_layer

    view = LoaderView("EM_X86_64-64")
    layers = [objects_of_layer(layer, cache) for layer in base.layers]
    for layer in layers:
        view.add_layer(layer)
    objects = [item for layer in layers for item in layer.objects]
    assert len(objects) > 50
    assert [found for item in objects for found in view.problems(Placed(item, f"/{item.path}"))] == []
