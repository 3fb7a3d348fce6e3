"""The examples say what their READMEs say, judged from their files."""

import pickletools
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

from builder.lock_pins import is_current
from builder.lock_reader import read_lock
from builder.lockfile import LockFile
from builder.spec import Spec, read_spec
from compliance.bases import find_base, read_bases

ROOT = Path(__file__).resolve().parents[2]
IRIS = ROOT / "examples" / "iris-serving"
LEGACY = ROOT / "examples" / "legacy-notebook"
BOTH = pytest.mark.parametrize("directory", [IRIS, LEGACY], ids=lambda path: path.name)


def _read(directory: Path) -> tuple[Spec, LockFile]:
    return read_spec(directory / "mlbuild.yaml"), read_lock(directory / "pylock.toml")


@BOTH
def test_the_committed_lock_is_current(directory: Path) -> None:
    spec, lock = _read(directory)
    base = find_base(read_bases(ROOT / "base-images"), spec.base, "amd64")
    assert is_current(lock, spec, base) == (True, "the lock answers the spec")


@BOTH
def test_every_package_is_explained(directory: Path) -> None:
    _, lock = _read(directory)
    assert all(wheel.chain and wheel.licence and wheel.size and wheel.index for wheel in lock.wheels)


def test_the_iris_model_holds_data_and_no_pickle() -> None:
    with zipfile.ZipFile(IRIS / "model" / "iris.skops") as archive:
        names = archive.namelist()
        arrays = [archive.read(name) for name in names if name != "schema.json"]
    assert "schema.json" in names
    assert all(array.startswith(b"\x93NUMPY") and b"'descr': '|O'" not in array for array in arrays)


def test_the_legacy_model_is_a_pickle_that_calls() -> None:
    operations = {operation.name for operation, _, _ in _pickle_operations(LEGACY / "model.pkl")}
    assert "REDUCE" in operations


def _pickle_operations(path: Path) -> list[tuple[pickletools.OpcodeInfo, object, int | None]]:
    found = []
    try:
        for step in pickletools.genops(path.read_bytes()):
            found.append(step)
    except ValueError:
        assert found, "not a pickle"  # joblib puts raw arrays between the operations
    return found


def test_the_legacy_project_runs_as_root() -> None:
    assert _read(LEGACY)[0].user == "root"
    assert _read(IRIS)[0].user is None


@pytest.mark.acceptance
def test_the_iris_model_is_trained_to_the_same_bytes_with_what_is_locked(tmp_path: Path) -> None:
    project = tmp_path / "iris"
    shutil.copytree(IRIS, project, ignore=shutil.ignore_patterns("model", ".mlbuild", "__pycache__"))
    binary = uv.find_uv_bin()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != "3.11":
        pytest.skip(f"the lock is for Python 3.11 and this is {version}")
    environment = tmp_path / "venv"
    subprocess.run([binary, "venv", "-q", "--python", sys.executable, str(environment)], check=True)
    subprocess.run(
        [
            binary,
            "pip",
            "sync",
            "-q",
            "--system-certs",
            "--python",
            str(environment / "bin/python"),
            "pylock.toml",
        ],
        cwd=project,
        check=True,
    )
    subprocess.run([str(environment / "bin/python"), "train.py"], cwd=project, check=True, stdout=subprocess.PIPE)
    assert (project / "model" / "iris.skops").read_bytes() == (IRIS / "model" / "iris.skops").read_bytes()
