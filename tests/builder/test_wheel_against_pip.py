"""Our tree of a real wheel against what pip installs, at the same prefix.

What differs, and why:

- INSTALLER says who installed; RECORD's row for it follows.
- Wrappers of entry points come from another template: the same interpreter, import and call are asked for.
- pip makes `.data/scripts` executable only where the zip says so; here they always are.
- byte code that a wheel ships in `__pycache__` is left out here.
- pip's own wheel is not among these: pip writes scripts for itself that its wheel does not name.
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
    "anyio==4.16.0",
    "attrs==25.3.0",
    "azure-core==1.41.0",  # shares the folder azure/ with others
    "bcrypt==5.0.0",
    "black==25.1.0",  # console scripts, compiled modules
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",  # compiled modules beside plain ones
    "click==8.5.1",
    "cloudpickle==3.1.2",
    "contourpy==1.3.3",
    "cryptography==50.0.2",
    "cycler==0.12.1",
    "dask==2026.8.0",
    "debugpy==1.8.14",  # native libraries of other systems, deep paths
    "distlib==0.4.4",  # binaries among its data
    "fastapi==0.165.0",
    "filelock==4.2.11",
    "fonttools==4.68.0",  # a man page under share/
    "fsspec==2026.9.0",
    "googleapis-common-protos==1.76.0",  # a namespace without __init__
    "greenlet==3.2.3",  # headers
    "grpcio==1.85.1",
    "gunicorn==27.0.1",
    "h11==0.16.0",
    "httptools==0.9.0",
    "hydra-core==1.3.8",  # a plugin folder of its own
    "idna==3.20",
    "ipykernel==7.4.0",  # a kernel specification under share/
    "ipython==9.18.1",
    "ipywidgets==8.1.9",
    "jaraco-text==4.3.0",  # a namespace package
    "jinja2==3.1.6",
    "joblib==1.6.0",
    "jupyter-core==5.8.1",  # a .pth-like layout, several scripts
    "jupyter-server==2.21.1",  # data files
    "jupyterlab-widgets==3.0.15",  # data files
    "kiwisolver==1.5.1",
    "lxml==6.1.3",  # headers inside the package
    "lz4==4.4.5",
    "markupsafe==3.0.4",
    "mlflow-skinny==3.17.2",
    "msgpack==1.2.4",
    "nbconvert==7.16.6",  # data files under share/
    "ninja==1.13.2",  # a binary
    "nltk==3.10.4",
    "notebook==7.4.3",  # data files under etc/ and share/
    "numpy==2.2.6",  # bundled libraries, headers inside the package
    "nvidia-cuda-runtime-cu12==12.9.79",  # nvidia/, with headers and libraries
    "nvidia-nvtx-cu12==12.9.79",  # nvidia/ again
    "orjson==3.13.0",
    "packaging==26.3",
    "pathspec==1.1.1",
    "pillow==13.0.0",  # bundled libraries
    "protobuf==6.31.1",
    "psutil==7.2.2",
    "pycparser==3.12",
    "pydantic-core==2.50.4",
    "pydantic==2.14.3",
    "python-dateutil==4.0.0",
    "pyyaml==6.0.2",
    "pyzmq==27.3.0",
    "regex==2026.11.15",
    "requests==2.34.2",
    "ruamel-yaml==0.19.1",  # a name with a dot
    "ruff==0.11.13",  # a binary in .data/scripts
    "safetensors==0.8.0",
    "sentencepiece==0.2.3",
    "setuptools==80.9.0",  # .pth, entry points of its own, files that look like wrappers
    "six==1.17.0",  # one module
    "starlette==1.10.0",
    "threadpoolctl==3.8.0",
    "tokenizers==0.23.3",
    "tornado==6.6.1",
    "tqdm==4.70.1",  # a man page
    "traitlets==5.16.1",
    "typing-extensions==4.16.0",  # one module
    "tzdata==2026.6",
    "uvicorn==0.34.3",
    "uvloop==0.23.0",
    "virtualenv==21.15.8",  # wheels inside a wheel
    "websockets==17.4",
    "wheel==0.48.0",
    "widgetsnbextension==4.0.16",  # data files under etc/ and share/
    "wrapt==2.5.2",
    "zope-interface==8.7",  # a namespace by .pth
    "zstandard==0.25.0",
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
