"""Our tree of a real wheel against what pip installs, at the same prefix.

What differs, and why:

- INSTALLER says who installed; RECORD's row for it follows.
- Wrappers of entry points come from another template: the same interpreter, import and call are asked for.
- pip makes `.data/scripts` executable only where the zip says so; here they always are.
- byte code that a wheel ships in `__pycache__` is left out here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from builder.layers.tar import write_layer
from builder.layers.wheel import Environment, WheelInput, open_wheel

pytestmark = pytest.mark.acceptance

WHEELS = (
    "attrs==25.3.0",
    "black==25.1.0",  # console scripts, compiled modules
    "debugpy==1.8.14",  # native libraries of other systems, deep paths
    "greenlet==3.2.3",  # headers
    "jupyter-core==5.8.1",  # a .pth-like layout, several scripts
    "jupyterlab-widgets==3.0.15",  # data files
    "nbconvert==7.16.6",  # data files under share/
    "notebook==7.4.3",  # data files under etc/ and share/
    "numpy==2.2.6",  # bundled libraries, headers inside the package
    "protobuf==6.31.1",
    "pyyaml==6.0.2",
    "ruff==0.11.13",  # a binary in .data/scripts
    "setuptools==80.9.0",  # .pth, entry points of its own, files that look like wrappers
    "six==1.17.0",  # one module
    "uvicorn==0.34.3",
)

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{PYTHON}/site-packages/"

Tree = dict[str, tuple[bool, bytes]]
"""By path relative to the prefix: whether it may be executed, and its bytes."""


@dataclass(frozen=True)
class Pip:
    """An environment that holds pip, the interpreter version, and the wheels it fetched."""

    python: Path
    wheels: Path

    def run(self, *arguments: str) -> None:
        subprocess.run([self.python, "-m", "pip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Pip:
    root = tmp_path_factory.mktemp("pip")
    subprocess.run([sys.executable, "-m", "venv", root / "tool"], check=True)
    pip = Pip(root / "tool" / "bin" / "python", root / "wheels")
    pip.run("download", "--no-deps", "--only-binary", ":all:", "--dest", str(pip.wheels), *WHEELS)
    return pip


def by_pip(pip: Pip, requirement: str, prefix: Path) -> Tree:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    before = {path for path in prefix.rglob("*") if path.is_file()}
    pip.run(
        *("--python", str(prefix / "bin" / "python"), "install", "--no-deps", "--no-compile", "--no-index"),
        *("--find-links", str(pip.wheels), requirement),
    )
    return {
        str(path.relative_to(prefix)): (bool(path.stat().st_mode & 0o100), path.read_bytes())
        for path in prefix.rglob("*")
        if path.is_file() and path not in before and "lib64" not in path.relative_to(prefix).parts
    }


def by_us(wheel: Path, prefix: Path) -> Tree:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    environment = Environment(str(prefix), PYTHON)
    blob = io.BytesIO()
    with open_wheel(WheelInput(wheel, name, str(version), digest, direct=True), environment) as entries:
        write_layer(entries, blob)
    blob.seek(0)
    tree: Tree = {}
    with tarfile.open(fileobj=blob, mode="r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                assert member.mode in {0o644, 0o755}
                path = "/" + member.name
                tree[path.removeprefix(f"{prefix}/")] = (member.mode == 0o755, content.read())
    return tree


def wrapper(script: bytes) -> tuple[bytes, ...] | None:
    """Interpreter, import and call of a generated script; None for anything else."""
    match = re.match(rb"(#!.*)\n(?s:.*)\nfrom (\S+) import (\S+)\n(?s:.*)sys\.exit\((\S+)\(\)\)", script)
    return match.groups() if match else None


def rows(record: bytes, without: set[str]) -> list[tuple[str, str, str]]:
    """RECORD in order of path, where generated scripts and INSTALLER are named only."""
    found = []
    for path, digest, size in csv.reader(io.StringIO(record.decode())):
        if "__pycache__" in path.split("/"):
            continue
        known = path.rpartition("/")[2] in without or is_own(path, "INSTALLER")
        found.append((path, "", "") if known else (path, digest, size))
    return sorted(found)


@pytest.mark.parametrize("requirement", WHEELS)
def test_tree_is_pips(pip: Pip, requirement: str, tmp_path: Path) -> None:
    name = canonicalize_name(requirement.partition("==")[0])
    (wheel,) = [path for path in pip.wheels.glob("*.whl") if parse_wheel_filename(path.name)[0] == name]
    expected = by_pip(pip, requirement, tmp_path / "venv")
    found = by_us(wheel, tmp_path / "venv")
    compare(expected, found)


def compare(expected: Tree, found: Tree) -> None:
    expected = {path: file for path, file in expected.items() if "__pycache__" not in path.split("/")}
    assert found.keys() == expected.keys()
    generated = {path.rpartition("/")[2] for path, (_, data) in found.items() if in_bin(path) and wrapper(data)}
    for path, (executable, data) in found.items():
        pips_executable, pips_data = expected[path]
        if is_own(path.removeprefix(SITE), "INSTALLER"):
            assert (data, pips_data) == (b"mlbuild\n", b"pip\n")
        elif is_own(path.removeprefix(SITE), "RECORD"):
            assert rows(data, generated) == rows(pips_data, generated)
        elif in_bin(path) and wrapper(data):
            assert wrapper(data) == wrapper(pips_data)
        else:
            assert data == pips_data, path
        assert executable == pips_executable or in_bin(path), path


def is_own(path: str, name: str) -> bool:
    """Whether a path relative to site-packages is this file of the .dist-info, not of a vendored project's."""
    return re.fullmatch(rf"[^/]+\.dist-info/{name}", path) is not None


def in_bin(path: str) -> bool:
    return path.startswith("bin/")
