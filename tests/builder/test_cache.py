from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from builder.cache import Cache, Recipe
from builder.errors import BuilderError
from builder.layers.tar import Compression, WrittenLayer, of_bytes, write_layer
from compliance.oci.digest import Digest

DATA = b"content" * 1000
DIGEST = Digest.of(DATA)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def layer(blob: BinaryIO) -> WrittenLayer:
    return write_layer([of_bytes("file", DATA)], blob)


def never(blob: BinaryIO) -> WrittenLayer:
    raise AssertionError("the layer was made again")


def test_content_is_found_under_its_digest(cache: Cache) -> None:
    assert cache.get(DIGEST) is None
    path = cache.put([DATA[:10], DATA[10:]], DIGEST)
    assert path.read_bytes() == DATA
    assert cache.get(DIGEST) == path


def test_content_of_another_digest_is_refused_and_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(BuilderError, match=f"should have digest {DIGEST} has sha256:"):
        cache.put([b"other"], DIGEST)
    assert cache.get(DIGEST) is None
    assert list((cache.root / "new").iterdir()) == []


def test_interrupted_stream_leaves_nothing(cache: Cache) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[:100]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.put(broken(), DIGEST)
    assert cache.get(DIGEST) is None
    assert list((cache.root / "new").iterdir()) == []


@pytest.mark.parametrize("altered", [b"", DATA[:-1], b"C" + DATA[1:]])
def test_altered_content_is_not_given_out(cache: Cache, altered: bytes) -> None:
    path = cache.put([DATA], DIGEST)
    path.write_bytes(altered)
    assert cache.get(DIGEST) is None
    cache.put([DATA], DIGEST)
    assert cache.get(DIGEST) == path


def test_touched_content_is_hashed_again_and_then_trusted(cache: Cache) -> None:
    path = cache.put([DATA], DIGEST)
    noted = path.with_suffix(".seen").read_bytes()
    os.utime(path, (1, 1))
    assert cache.get(DIGEST) == path
    assert path.with_suffix(".seen").read_bytes() != noted
    assert cache.get(DIGEST) == path


@pytest.mark.parametrize("note", [b"", b"{", b'{"size":1}'])
def test_content_without_a_readable_note_is_hashed(cache: Cache, note: bytes) -> None:
    path = cache.put([DATA], DIGEST)
    path.with_suffix(".seen").write_bytes(note)
    assert cache.get(DIGEST) == path


def test_other_algorithms_are_refused(cache: Cache) -> None:
    with pytest.raises(BuilderError, match="by sha256"):
        cache.get(Digest("sha512:" + "0" * 128))


def test_layer_is_made_once_for_its_recipe(cache: Cache) -> None:
    recipe = Recipe("wheels", ("numpy 2.0 sha256:00",), "/opt/venv", "3.11")
    assert cache.layer(recipe) is None
    made = cache.make_layer(recipe, layer)
    assert made.path.read_bytes()
    assert cache.make_layer(recipe, never) == made
    assert Cache(cache.root).layer(recipe) == made


@pytest.mark.parametrize("damage", ["record", "blob", "blob-missing"])
def test_damaged_layer_is_made_again(cache: Cache, damage: str) -> None:
    recipe = Recipe("app", ("x",))
    made = cache.make_layer(recipe, layer)
    if damage == "record":
        (cache.root / "layers" / f"{recipe.key}.json").write_bytes(b"")
    elif damage == "blob":
        made.path.write_bytes(b"")
    else:
        made.path.unlink()
    assert cache.layer(recipe) is None
    assert cache.make_layer(recipe, layer) == made


def test_everything_a_layer_depends_on_changes_its_key() -> None:
    recipes = [
        Recipe("wheels", ("a", "b"), "/opt/venv", "3.11"),
        Recipe("app", ("a", "b"), "/opt/venv", "3.11"),
        Recipe("wheels", ("b", "a"), "/opt/venv", "3.11"),
        Recipe("wheels", ("a b",), "/opt/venv", "3.11"),
        Recipe("wheels", ("a", "b"), "/opt/other", "3.11"),
        Recipe("wheels", ("a", "b"), "/opt/venv", "3.12"),
        Recipe("wheels", ("a", "b"), "/opt/venv", "3.11", Compression.ZSTD),
    ]
    assert len({recipe.key for recipe in recipes}) == len(recipes)


def test_file_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(BuilderError, match="cannot store") as caught:
        Cache(tmp_path / "cache")
    assert caught.value.remedy is not None
    assert "MLBUILD_CACHE" in caught.value.remedy


def test_old_leftovers_are_swept_and_fresh_ones_left(cache: Cache) -> None:
    old, fresh = cache.root / "new" / "old", cache.root / "new" / "fresh"
    for leftover in (old, fresh):
        leftover.write_bytes(b"")
    os.utime(old, (time.time() - 100_000, time.time() - 100_000))
    Cache(cache.root)
    assert not old.exists()
    assert fresh.exists()


def test_several_writers_of_one_file_agree(cache: Cache) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: cache.put([DATA], DIGEST), range(64)))
    assert paths == {cache.get(DIGEST)}
    assert list((cache.root / "new").iterdir()) == []


def test_kill_at_any_moment_leaves_a_cache_that_works(cache: Cache) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from builder.cache import Cache; from compliance.oci.digest import Digest\n"
        "cache = Cache(Path(sys.argv[1])); print(flush=True); n = 0\n"
        "while True:\n"
        "    data = str(n % 50).encode() * 50_000; n += 1; cache.put([data], Digest.of(data))\n"
    )
    for delay in (0.0, 0.01, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", program, str(cache.root)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    for number in range(50):
        data = str(number).encode() * 50_000
        path = cache.get(Digest.of(data))
        assert path is None or path.read_bytes() == data
        assert cache.put([data], Digest.of(data)).read_bytes() == data


def big(path: Path, fill: bytes) -> Digest:
    data = fill * (2 << 20)
    path.write_bytes(data)
    return Digest.of(data)


def test_digest_of_a_file_outside_follows_its_content(cache: Cache, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    first = big(model, b"a")
    assert cache.digest_of(model) == first == cache.digest_of(model)
    second = big(model, b"b")
    assert cache.digest_of(model) == second


def test_settled_large_file_is_not_read_again(cache: Cache, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    digest = big(model, b"a")
    time.sleep(2.1)  # younger files are not remembered: their times may not have ticked yet
    assert cache.digest_of(model) == digest
    note = next(cache.records("files").iterdir())
    note.write_text(note.read_text().replace(digest, Digest.of(b"noted")))
    assert cache.digest_of(model) == Digest.of(b"noted")
    model.touch()
    assert cache.digest_of(model) == digest
