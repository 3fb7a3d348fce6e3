"""`kill -9` of real builds at random moments: the next build is clean, and its image the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.oci.digest import Digest
from tests.builder.wheel_index import make_wheel, serve_index
from tests.workplace import Workplace, facts

pytestmark = pytest.mark.acceptance

KILLS = 24
SIZES = (25_000_000, 3_000_000, 3_000_000, 2_000_000, 1_000_000, 500_000, 20_000, 20_000)


@pytest.fixture
def place(workplace: Workplace, iris: Path, tmp_path: Path) -> Iterator[Workplace]:
    """A workplace of its own whose cache holds a base, and a project on a local index of wheels."""
    assert iris.exists()
    files = tmp_path / "files"
    files.mkdir()
    names = [f"part-{number}" for number in range(len(SIZES))]
    for name, size in zip(names, SIZES, strict=True):
        make_wheel(files, name, files={f"{name.replace('-', '_')}/data.bin": os.urandom(size)})
    shutil.copytree(workplace.root / "cache", tmp_path / "base-cache", copy_function=os.link)
    project = tmp_path / "projects" / "killed"
    project.mkdir(parents=True)
    (project / "app.py").write_text("print()\n")
    (project / "mlbuild.yaml").write_text(
        f"image: serving/killed\nbase: python3.11-slim\ndependencies: [{', '.join(names)}]\n"
        "app: {include: [app.py]}\n"
    )
    with serve_index(files) as index:
        yield Workplace(tmp_path, {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(tmp_path / "uv")})


def forget(place: Workplace, project: Path) -> None:
    """Go back to a cache that holds a base and nothing of the project."""
    shutil.rmtree(project / ".mlbuild", ignore_errors=True)
    shutil.rmtree(place.root / "cache", ignore_errors=True)
    shutil.copytree(place.root / "base-cache", place.root / "cache", copy_function=os.link)


def kill_after(place: Workplace, project: Path, delay: float) -> bool:
    """Start a build and kill it with all that it started; whether it was still running then."""
    build = subprocess.Popen(
        [sys.executable, "-c", "from builder.cli import main; main()", "-C", str(project), "build"],
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        build.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(build.pid, signal.SIGKILL)
    return build.wait() == -signal.SIGKILL


def altered(root: Path) -> list[Path]:
    """The blobs below a directory that are not what their name says."""
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and len(path.name) == 64 and Digest.of(path.read_bytes()).hex != path.name
    ]


def test_builds_that_are_killed_leave_nothing_broken(place: Workplace) -> None:
    project = place.root / "projects" / "killed"
    forget(place, project)
    started = time.monotonic()
    first = place.mlbuild("-C", str(project), "--json", "build")
    duration = time.monotonic() - started
    assert first.returncode == 0, first.stderr
    forget(place, project)
    moments = random.Random(4)  # noqa: S311 - nobody is to be surprised
    killed = 0
    while killed < KILLS:
        if kill_after(place, project, moments.uniform(0.2, 1.1) * duration):
            killed += 1
        else:
            duration *= 0.9  # the machine has less to do than it had
            forget(place, project)
        assert altered(place.root / "cache" / "blobs") == []
    last = place.mlbuild("-C", str(project), "--json", "build")
    assert last.returncode == 0, last.stderr
    assert facts(last)["image"] == facts(first)["image"]
    image = project / ".mlbuild" / "image"
    assert altered(image) == []
    assert len(list((image / "blobs" / "sha256").iterdir())) == len(facts(last)["layers"]) + 3  # type: ignore[arg-type]
