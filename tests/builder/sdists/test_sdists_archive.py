"""What a source distribution says of itself is read without running it, however odd it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.sdists.archive import LEGACY, Source, read_source
from tests.builder.wheel_index import make_sdist


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"setup.py": "raise SystemExit"}, Source(LEGACY, None)),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, Source(LEGACY, None)),
        (
            {"pyproject.toml": "[build-system]\nrequires = ['setuptools >=60', 'cython']\n"},
            Source(("cython", "setuptools>=60"), None),
        ),
        ({"pyproject.toml": "[build-system]\nrequires = []\n"}, Source((), None)),
        ({"src/fast.c": "", "setup.py": ""}, Source(LEGACY, "src/fast.c")),
        ({"src/lib.rs": "", "setup.py": ""}, Source(LEGACY, "src/lib.rs")),
        ({"inner/pyproject.toml": "[build-system]\nrequires = ['evil']\n"}, Source(LEGACY, None)),
    ],
    ids=["setup.py", "no-build-system", "requires", "requires-nothing", "c", "rust", "further-down"],
)
def test_what_it_is_built_with_and_whether_it_needs_a_compiler(tmp_path: Path, files, found) -> None:
    assert read_source(make_sdist(tmp_path, "demo", files), "demo") == found


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "build-system = 3\n",
        "[build-system]\nbuild-backend = 'x'\n",
        "[build-system]\nrequires = 'setuptools'\n",
        "[build-system]\nrequires = [1]\n",
        "[build-system]\nrequires = ['not a requirement!']\n",
    ],
)
def test_a_pyproject_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(BuilderError, match="the source of demo cannot be read") as failure:
        read_source(make_sdist(tmp_path, "demo", {"pyproject.toml": text}), "demo")
    assert "publish a wheel" in (failure.value.remedy or "")


@pytest.mark.parametrize("cut", [0, 10, 100])
def test_a_damaged_archive_is_told(tmp_path: Path, cut: int) -> None:
    path = make_sdist(tmp_path, "demo", {"setup.py": "x = 1\n" * 1000})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BuilderError, match="the source of demo cannot be read"):
        read_source(path, "demo")
