"""A lock keeps to the policy's cooldown from the start, and says what its index had withdrawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.lock import lock_project
from builder.lock_facts import as_evidence
from builder.lock_reader import read_lock
from builder.lockfile import LockFile
from builder.progress import Quiet
from builder.spec import read_spec
from compliance.bases import find_base, read_bases
from compliance.errors import InvalidInput
from compliance.policy.releases import ReleaseLimits
from tests.builder.wheel_index import Index, make_wheel, serve_index

NOW = datetime(2026, 6, 10, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    for name in ("tools", "ours"):
        make_wheel(files, name, "1.0")
        make_wheel(files, name, "2.0")
    with serve_index(files) as running:
        running.uploaded = {f"{name}-2.0-py3-none-any.whl": "2026-06-08T00:00:00Z" for name in ("tools", "ours")}
        yield running


def lock(
    root: Path, index: Index, requirements: str, releases: ReleaseLimits | None = None, *, ask_yanked: bool = False
) -> LockFile:
    directory = root / "project"
    directory.mkdir(exist_ok=True)
    spec = directory / "mlbuild.yaml"
    spec.write_text("image: serving/demo\nbase: python3.11-slim\nrequirements: [requirements.txt]\n")
    (directory / "requirements.txt").write_text(requirements)
    return lock_project(
        read_spec(spec),
        spec,
        find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64"),
        Cache(root / "cache"),
        Quiet(),
        now=NOW,
        releases=releases,
        ask_yanked=ask_yanked,
        environment={
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_HTTP_RETRIES": "0",
            "UV_DEFAULT_INDEX": index.url,
            "PIP_CONFIG_FILE": os.devnull,
        },
    )


def versions(found: LockFile) -> dict[str, str]:
    return {wheel.name: wheel.version for wheel in found.wheels}


WEEK = ReleaseLimits(NOW - timedelta(days=7))


def test_a_release_that_is_too_new_is_not_taken(tmp_path: Path, index: Index) -> None:
    assert versions(lock(tmp_path, index, "tools\n")) == {"tools": "2.0"}
    assert versions(lock(tmp_path, index, "tools\n", WEEK)) == {"tools": "1.0"}


def test_an_exempt_package_is_taken_at_once(tmp_path: Path, index: Index) -> None:
    found = lock(tmp_path, index, "tools\nours\n", ReleaseLimits(WEEK.newest, {"ours": NOW}))
    assert versions(found) == {"ours": "2.0", "tools": "1.0"}


def test_where_only_too_new_releases_fit_it_says_so(tmp_path: Path, index: Index) -> None:
    with pytest.raises(InvalidInput) as caught:
        lock(tmp_path, index, "tools==2.0\n", WEEK)
    assert "no release in that is newer than 2026-06-03" in (caught.value.remedy or "")


def test_upload_times_are_evidence(tmp_path: Path, index: Index) -> None:
    (package,) = as_evidence(lock(tmp_path, index, "tools\n")).packages
    assert package.upload_time == datetime(2026, 6, 8, tzinfo=UTC)
    assert type(package.upload_time) is datetime


def yanked(found: LockFile) -> dict[str, bool | None]:
    return {package.name: package.yanked for package in as_evidence(read_lock(found.path)).packages}


def test_what_was_yanked_is_not_taken_unless_it_is_pinned_and_then_the_lock_says_so(
    tmp_path: Path, index: Index
) -> None:
    index.yanked = {"tools-2.0-py3-none-any.whl": "breaks everything", "ours-1.0-py3-none-any.whl": True}
    assert versions(lock(tmp_path, index, "tools\n")) == {"tools": "1.0"}
    pinned = lock(tmp_path, index, "tools==2.0\nours\n", ask_yanked=True)
    assert versions(pinned) == {"ours": "2.0", "tools": "2.0"}
    assert yanked(pinned) == {"ours": False, "tools": True}


def test_where_nobody_asked_the_lock_does_not_say(tmp_path: Path, index: Index) -> None:
    assert yanked(lock(tmp_path, index, "tools\n")) == {"tools": None}
