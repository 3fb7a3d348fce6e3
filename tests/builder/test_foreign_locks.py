"""Locks of other tools as input: read strictly, and followed by a real uv against a real index."""

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uv

from builder.cache import Cache
from builder.foreign_locks import read_pylock, read_uv_lock
from builder.lock import lock_project
from builder.lock_pins import is_current
from builder.lockfile import LockFile
from builder.progress import Quiet
from builder.spec import read_spec
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.errors import InvalidInput
from tests.builder.wheel_index import Index, make_wheel, serve_index

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
BAD = [*sorted((DATA / "uvlock-bad").glob("*.lock")), *sorted((DATA / "pylock-bad").glob("*.toml"))]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_and_where(path: Path) -> None:
    expected = re.match(r"# expected: (\d+|-): (.*)", path.read_text())
    assert expected is not None
    read = read_uv_lock if path.suffix == ".lock" else read_pylock
    with pytest.raises(InvalidInput) as failure:
        read(path)
    place = str(path) if expected[1] == "-" else f"{path}:{expected[1]}"
    assert failure.value.message.startswith(f"{place}: {expected[2]}")


class Project:
    """A project with a pyproject.toml, an index with newer versions than it locked, and a real uv."""

    def __init__(self, root: Path, base: BaseDefinition, index: Index) -> None:
        self.root = root / "project"
        self.root.mkdir()
        self.base, self.index, self.cache = base, index, Cache(root / "cache")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_DEFAULT_INDEX": index.url,
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.ask("server")

    def ask(self, *dependencies: str) -> None:
        listed = ", ".join(f'"{item}"' for item in dependencies)
        (self.root / "pyproject.toml").write_text(
            f'[project]\nname = "own"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = [{listed}]\n'
        )

    def uv(self, *arguments: str) -> None:
        command = [uv.find_uv_bin(), *arguments, "--quiet"]
        subprocess.run(command, cwd=self.root, env=self.environment, check=True)

    def lock(self, spec: str) -> LockFile:
        path = self.root / "mlbuild.yaml"
        path.write_text(f"image: a/b\nbase: {self.base.name}\n{spec}\n")
        return lock_project(
            read_spec(path), path, self.base, self.cache, Quiet(), now=NOW, environment=self.environment
        )


@pytest.fixture(scope="module")
def base() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.fixture
def project(tmp_path: Path, base: BaseDefinition) -> Iterator[Project]:
    files = tmp_path / "files"
    files.mkdir()
    make_wheel(files, "server", "1.0", requires=["tools"])
    make_wheel(files, "tools", "1.0")
    with serve_index(files) as index:
        found = Project(tmp_path, base, index)
        found.uv("lock")
        make_wheel(files, "server", "2.0", requires=["tools", "extra"])
        make_wheel(files, "tools", "2.0")
        make_wheel(files, "extra", "1.0")
        yield found


def versions(lock: LockFile) -> dict[str, str]:
    return {wheel.name: wheel.version for wheel in lock.wheels}


@pytest.mark.acceptance  # an index, and uv three times
def test_uv_lock_is_followed_and_noticed_when_it_changes(project: Project) -> None:
    lock = project.lock("requirements: [uv.lock]")
    assert versions(lock) == {"server": "1.0", "tools": "1.0"}
    assert [wheel.name for wheel in lock.wheels if wheel.direct] == ["server"]
    assert lock.pins.requirements == ("server",)
    spec = read_spec(project.root / "mlbuild.yaml")
    assert is_current(lock, spec, project.base)[0]
    project.uv("lock", "--upgrade")
    current, reason = is_current(lock, spec, project.base)
    assert not current
    assert reason.startswith("the locks to follow have changed: + uv.lock sha256:")
    assert versions(project.lock("requirements: [uv.lock]")) == {"extra": "1.0", "server": "2.0", "tools": "2.0"}


def test_a_pylock_of_another_tool_is_followed(project: Project) -> None:
    (project.root / "locked").mkdir()
    project.uv("export", "--format", "pylock.toml", "--no-emit-project", "-o", "locked/pylock.toml")
    lock = project.lock("requirements: [locked/pylock.toml]")
    assert versions(lock) == {"server": "1.0", "tools": "1.0"}
    assert lock.pins.requirements == ("server==1.0", "tools==1.0")


def test_a_uv_lock_older_than_its_pyproject_is_refused(project: Project) -> None:
    project.ask("server", "extra")
    with pytest.raises(InvalidInput) as failure:
        project.lock("requirements: [uv.lock]")
    assert failure.value.message.startswith(f"{project.root}/pyproject.toml:5: uv.lock was not made for extra")
    assert failure.value.remedy == "Run `uv lock`."


def test_a_wheel_that_was_replaced_on_the_index_is_refused(project: Project) -> None:
    make_wheel(project.index.files, "tools", "1.0", files={"tools/evil.py": b""})
    with pytest.raises(InvalidInput, match=r"uv\.lock:\d+: tools-1\.0-py3-none-any\.whl has sha256 \w+ on http"):
        project.lock("requirements: [uv.lock]")


def test_what_is_not_from_an_index_is_refused(project: Project) -> None:
    path = project.root / "uv.lock"
    text = path.read_text()
    registry = f'{{ registry = "{project.index.url}" }}'
    at = text.index(registry, text.index('name = "tools"'))
    path.write_text(text[:at] + '{ git = "https://example.org/tools?rev=1#0" }' + text[at + len(registry) :])
    with pytest.raises(InvalidInput, match=r"uv\.lock:\d+: tools comes from git, https://example\.org"):
        project.lock("requirements: [uv.lock]")


def test_what_the_lock_does_not_hold_is_refused_unless_something_else_asks_for_it(project: Project) -> None:
    path = project.root / "uv.lock"
    text = path.read_text()
    start = text.index('[[package]]\nname = "tools"')
    path.write_text(text[:start])
    with pytest.raises(InvalidInput, match=r"uv\.lock: does not hold tools, which is needed"):
        project.lock("requirements: [uv.lock]")
    assert versions(project.lock("requirements: [uv.lock]\ndependencies: [extra]"))["extra"] == "1.0"


def test_another_python_than_the_base_has_is_refused(project: Project) -> None:
    text = (project.root / "uv.lock").read_text().replace('"==3.11.*"', '"==3.12.*"')
    (project.root / "uv.lock").write_text(text)
    with pytest.raises(InvalidInput, match=r"wants Python ==3\.12\.\*, and the base .* has 3\.11\.2"):
        project.lock("requirements: [uv.lock]")
