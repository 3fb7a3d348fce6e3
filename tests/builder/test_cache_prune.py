from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from builder.cache import Cache, Recipe, measure, prune
from builder.cli import main
from builder.layers.tar import of_bytes, write_layer
from compliance.oci.digest import Digest

SIZE = 100_000


def put(cache: Cache, name: str, *, days_ago: float = 0) -> Path:
    """A download that was last asked for some days ago."""
    data = name.encode().ljust(SIZE, b".")
    path = cache.put([data], Digest.of(data))
    then = time.time() - days_ago * 86_400
    os.utime(path.with_suffix(".seen"), (then, then))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache as a command finds it, whose session began after what the tests call old."""
    return Cache(tmp_path / "cache")


def test_the_longest_unused_goes_first(cache: Cache) -> None:
    paths = [put(cache, str(days), days_ago=days) for days in (1, 4, 2, 3)]
    pruned = prune(cache, max_size=2 * SIZE + 10_000)
    assert [path.exists() for path in paths] == [True, False, True, False]
    assert (pruned.files, pruned.bytes, pruned.in_use) == (2, 2 * SIZE, 0)
    assert not paths[1].with_suffix(".seen").exists()
    assert measure(cache).sizes["downloads"] == 2 * SIZE


def test_what_was_not_used_for_long_goes_whatever_the_size(cache: Cache) -> None:
    old, young = put(cache, "old", days_ago=31), put(cache, "young", days_ago=29)
    prune(cache, older_than=timedelta(days=30))
    assert (old.exists(), young.exists()) == (False, True)


def test_asking_for_a_file_makes_it_used(cache: Cache) -> None:
    path = put(cache, "old", days_ago=31)
    assert cache.get(Digest(f"sha256:{path.name}")) == path
    assert prune(cache, older_than=timedelta(days=30)).files == 0
    assert path.exists()


def test_a_dry_run_removes_nothing_and_says_the_same(cache: Cache) -> None:
    for days in (1, 2, 3):
        put(cache, str(days), days_ago=days)
    said = prune(cache, max_size=SIZE + 10_000, dry_run=True)
    assert measure(cache).counts["downloads"] == 3
    assert prune(cache, max_size=SIZE + 10_000) == said


def test_what_a_running_build_asked_for_stays(cache: Cache, tmp_path: Path) -> None:
    path = put(cache, "needed", days_ago=3)
    build = Cache(tmp_path / "cache")
    assert build.get(Digest(f"sha256:{path.name}")) == path
    pruned = prune(cache, max_size=0)
    assert (pruned.files, pruned.in_use) == (0, SIZE)
    assert path.exists()


def test_what_the_build_asked_for_can_go_once_it_has_ended(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from builder.cache import Cache; from compliance.oci.digest import Digest\n"
        "cache = Cache(Path(sys.argv[1])); data = b'x' * 100_000; cache.put([data], Digest.of(data))\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    build = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "cache"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert build.stdout is not None
    build.stdout.readline()
    time.sleep(0.05)  # more than the tick of a file system's clock
    other = Cache(tmp_path / "cache")
    assert prune(other, max_size=0).in_use == SIZE
    build.kill()
    build.wait()
    build.stdout.close()
    assert build.stdin is not None
    build.stdin.close()
    assert prune(other, max_size=0).bytes == SIZE
    assert len(list((tmp_path / "cache" / "sessions").glob("session-*"))) == 1


def test_a_session_ends_with_its_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (session,) = (tmp_path / "sessions").glob("session-*")
    del cache
    assert not session.exists()


def test_a_layer_goes_with_its_record(cache: Cache) -> None:
    recipe = Recipe("app", ("x",))
    layer = cache.make_layer(recipe, lambda blob: write_layer([of_bytes("file", b"x" * 1000)], blob))
    assert measure(cache).sizes["layers"] == layer.descriptor.size
    os.utime(layer.path.with_suffix(".seen"), (1, 1))
    assert prune(cache, older_than=timedelta(days=1)).bytes == layer.descriptor.size
    assert cache.layer(recipe) is None
    assert list((cache.root / "layers").iterdir()) == []


def test_parts_of_downloads_go_when_nobody_goes_on_with_them(cache: Cache) -> None:
    partial = cache.directory("partial")
    old, held, fresh = (partial / name for name in ("old", "held", "fresh"))
    for path in (old, held, fresh):
        path.write_bytes(b"part")
    for path in (old, held):
        os.utime(path, (1, 1))
    with held.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert prune(cache, max_size=10**9).bytes == 4
    assert (old.exists(), held.exists(), fresh.exists()) == (False, True, True)


class Note(BaseModel):
    text: str


def remember(cache: Cache, name: str, *, days_ago: float = 0) -> Path:
    """A record that was last asked for some days ago."""
    cache.remember("notes", name, Note(text="x" * 100))
    path = cache.records("notes") / f"{name}.json"
    then = time.time() - days_ago * 86_400
    os.utime(path, (then, then))
    return path


def test_records_go_when_nobody_asked_for_them_for_long(cache: Cache) -> None:
    young, old = remember(cache, "young", days_ago=89), remember(cache, "old", days_ago=91)
    size = old.stat().st_size
    assert (measure(cache).counts["records"], measure(cache).sizes["records"]) == (2, 2 * size)
    pruned = prune(cache)
    assert (pruned.files, pruned.records, young.exists(), old.exists()) == (1, 1, True, False)


def test_records_count_for_the_limits(cache: Cache) -> None:
    remember(cache, "old", days_ago=3), remember(cache, "older", days_ago=4)
    put(cache, "young", days_ago=2)
    assert prune(cache, older_than=timedelta(days=3.5)).files == 1
    assert prune(cache, max_size=SIZE + 100).files == 1
    assert measure(cache).counts["records"] == 0


def test_a_record_that_a_running_build_recalled_stays(cache: Cache, tmp_path: Path) -> None:
    path = remember(cache, "needed", days_ago=91)
    build = Cache(tmp_path / "cache")
    assert build.recall("notes", "needed", Note) == Note(text="x" * 100)
    assert (prune(cache, max_size=0).files, path.exists()) == (0, True)
    assert build.recall("notes", "other", Note) is None


READER = """
import random, sys
from pathlib import Path
from builder.cache import Cache
from compliance.oci.digest import Digest
root, enough = map(Path, sys.argv[1:])
print(flush=True)
for turn in range(6000):
    if turn >= 60 and enough.exists():
        break
    cache = Cache(root)  # a build
    wanted = {}
    for number in random.sample(range(30), 8):
        data = str(number).encode() * 5_000
        digest = Digest.of(data)
        wanted[cache.get(digest) or cache.put([data], digest)] = data
    for path, data in wanted.items():
        assert path.read_bytes() == data
"""


def test_builds_lose_nothing_while_the_cache_is_pruned(tmp_path: Path) -> None:
    root, enough = tmp_path / "cache", tmp_path / "enough"
    command = [sys.executable, "-c", READER, root, enough]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    cache = Cache(root)
    removed = 0
    while any(reader.poll() is None for reader in readers):
        removed += prune(cache, max_size=0).files
        if removed:
            enough.touch()
        cache = Cache(root)  # else this one's own session would count as the oldest
    for reader in readers:
        _, errors = reader.communicate()
        assert reader.returncode == 0, errors.decode()
    assert removed > 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("MLBUILD_CACHE", str(tmp_path / "cache"))
    return CliRunner()


def test_info_says_what_is_there(cache: Cache, run: CliRunner) -> None:
    put(cache, "one")
    facts = json.loads(run.invoke(main, ["cache", "info", "--json"], catch_exceptions=False).stdout)
    assert facts["cache"] == str(cache.root)
    assert facts["limit"] == 100 * 10**9
    assert {"name": "downloads", "files": 1, "bytes": SIZE} in facts["kinds"]
    assert "downloads" in run.invoke(main, ["cache", "info"]).stdout


@pytest.mark.parametrize(
    "arguments",
    [["--max-size", "0"], ["--older-than", "2d"], ["--max-size", "0.15MB"]],
)
def test_prune_takes_limits_with_units(cache: Cache, run: CliRunner, arguments: list[str]) -> None:
    old, older = put(cache, "old", days_ago=3), put(cache, "older", days_ago=4)
    said = run.invoke(main, ["cache", "prune", *arguments, "--json"], catch_exceptions=False)
    facts = json.loads(said.stdout)
    assert facts["removed"]
    assert not older.exists()
    assert old.exists() == (arguments[1] == "0.15MB")


def test_prune_keeps_to_the_setting_without_options(
    cache: Cache, run: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(cache, "old", days_ago=3)
    assert "removed 0 files, 0 B" in run.invoke(main, ["cache", "prune"]).stdout
    monkeypatch.setenv("MLBUILD_CACHE_LIMIT", "10KB")
    assert "would remove 1 files" in run.invoke(main, ["cache", "prune", "--dry-run"]).stdout
    assert path.exists()
    assert "removed 1 files, 0.1 MB" in run.invoke(main, ["cache", "prune"]).stdout
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-size", "many"], "'many' is not a size: write it as 20GB"),
        (["--older-than", "yesterday"], "'yesterday' is not a length of time: write it as 30d"),
    ],
)
def test_a_limit_that_cannot_be_read_is_a_usage_error(run: CliRunner, arguments: list[str], message: str) -> None:
    done = run.invoke(main, ["cache", "prune", *arguments])
    assert done.exit_code == 2
    assert message in done.output
