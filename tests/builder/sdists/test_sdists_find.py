"""Which packages come without a wheel is found with the real uv and a real index, and nothing of them is run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from builder.metadata import WheelMetadata, read_metadata
from builder.progress import Quiet
from builder.sdists.find import Search
from builder.target import Target
from builder.uv import Question, ResolvedWheel, Uv
from tests.builder.wheel_index import Index, make_sdist, make_wheel, serve_index

TARGET = Target("3.11", "x86_64", 36)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    with serve_index(files) as running:
        yield running


@pytest.fixture
def find(tmp_path: Path, index: Index):
    """The names and versions of what must be built for some requirements, under some constraints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_DEFAULT_INDEX": index.url,
        "PIP_CONFIG_FILE": os.devnull,
    }
    kept = tmp_path / "metadata"
    kept.mkdir()

    def read(wheels: Sequence[ResolvedWheel]) -> dict[str, WheelMetadata]:
        return read_metadata(wheels, kept, environment, Quiet())

    def search(*asked: str, limits: Sequence[str] = ()) -> list[tuple[str, str, str]]:
        question = Question(tmp_path / "mlbuild.yaml", (), (), TARGET)
        found = Search(Uv.find(environment), question, read, {}).sources(
            map(Requirement, asked), map(Requirement, limits)
        )
        assert not (tmp_path / "ran").exists()
        return [(one.name, one.version, one.filename) for one in found]

    return search


def source(index: Index, tmp_path: Path, name: str, version: str = "1.0") -> None:
    make_sdist(index.files, name, {"setup.py": f"open({str(tmp_path / 'ran')!r}, 'w')"}, version)


def test_a_source_below_wheels_is_found(find, index, tmp_path) -> None:
    source(index, tmp_path, "deep")
    make_wheel(index.files, "middle", requires=["deep>=1"])
    make_wheel(index.files, "top", requires=["middle", "other"])
    make_wheel(index.files, "other")
    assert find("top") == [("deep", "1.0", "deep-1.0.tar.gz")]


def test_all_sources_of_a_level_are_found(find, index, tmp_path) -> None:
    for name in ("one", "three", "five"):
        source(index, tmp_path, name)
    for name in ("two", "four"):
        make_wheel(index.files, name)
    found = find("one", "two", "three", "four", "five")
    assert [name for name, _, _ in found] == ["five", "one", "three"]


def test_versions_are_those_that_requirements_and_constraints_allow(find, index, tmp_path) -> None:
    make_wheel(index.files, "tool", "3.0")
    for version in ("1.0", "1.5", "2.0"):
        source(index, tmp_path, "tool", version)
    make_wheel(index.files, "top", requires=["tool<3"])
    assert find("top") == [("tool", "2.0", "tool-2.0.tar.gz")]
    assert find("top", limits=["tool<2"]) == [("tool", "1.5", "tool-1.5.tar.gz")]


def test_a_source_for_another_system_or_an_extra_nobody_wants_is_not_looked_for(find, index, tmp_path) -> None:
    source(index, tmp_path, "elsewhere")
    source(index, tmp_path, "wanted")
    make_wheel(
        index.files,
        "top",
        requires=[
            "elsewhere; sys_platform == 'win32'",
            "elsewhere; extra == 'more'",
            "wanted; extra == 'some'",
        ],
        extras=["more", "some"],
    )
    assert find("top") == []
    assert find("top[some]") == [("wanted", "1.0", "wanted-1.0.tar.gz")]


def test_what_is_in_no_index_and_what_contradicts_itself_is_not_taken_for_a_source(find, index, tmp_path) -> None:
    source(index, tmp_path, "tool")
    assert find("nowhere", "tool<1", "tool>1") == []
