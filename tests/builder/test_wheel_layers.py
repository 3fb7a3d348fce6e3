from __future__ import annotations

import tarfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cache import Cache, StoredLayer
from builder.errors import BuilderError
from builder.layers.inputs import WheelInput
from builder.progress import Quiet
from builder.wheel_layers import make_wheel_layers, making_ahead
from builder.wheel_plan import LayerRules, needed_for_layers, settled_plan

if TYPE_CHECKING:
    from tests.builder.conftest import MakeWheel

RULES = LayerRules(1)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def of_known_size(wheel: WheelInput) -> WheelInput:
    return replace(wheel, locked_size=wheel.size)


def made(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> list[StoredLayer]:
    return make_wheel_layers(settled_plan(wheels, rules, cache), cache, Quiet())


def layer_count(cache: Cache) -> int:
    return len(list((cache.root / "layers").iterdir()))


def files_of(layer: StoredLayer) -> set[str]:
    with tarfile.open(layer.path, "r:gz") as archive:
        return {member.name for member in archive if member.isfile()}


def test_layers_are_made_while_other_wheels_are_on_their_way(make_wheel: MakeWheel, cache: Cache) -> None:
    first, second = (of_known_size(make_wheel(name=name)) for name in "ab")  # of two buckets
    arrivals: dict[str, Future[Path]] = {wheel.sha256: Future() for wheel in (first, second)}
    wanted = settled_plan([first, second], RULES, cache)
    assert len(wanted) == 2
    with making_ahead([first, second], arrivals, RULES, cache, Quiet()):
        arrivals[second.sha256].set_result(second.path)
        late = next(job for job in wanted if job.layer.wheels == (second,))
        for _ in range(200):
            if cache.layer(late.recipe) is not None:
                break
            threading.Event().wait(0.02)
        assert cache.layer(late.recipe) is not None
        assert layer_count(cache) == 1
        arrivals[first.sha256].set_result(first.path)
    assert layer_count(cache) == 2


def test_layers_made_ahead_are_those_of_the_plan(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheels = [make_wheel(name=name) for name in "abcdefghijklmnop"]
    arrivals: dict[str, Future[Path]] = {wheel.sha256: Future() for wheel in wheels}
    for wheel in wheels:
        arrivals[wheel.sha256].set_result(wheel.path)
    ahead, plain = Cache(tmp_path / "ahead"), Cache(tmp_path / "plain")
    with making_ahead(wheels, arrivals, RULES, ahead, Quiet()):
        pass
    count = layer_count(ahead)
    assert [layer.diff_id for layer in made(wheels, RULES, ahead)] == [
        layer.diff_id for layer in made(wheels, RULES, plain)
    ]
    assert layer_count(ahead) == count


def test_wheel_that_never_arrives_ends_the_work(make_wheel: MakeWheel, cache: Cache) -> None:
    wheel = of_known_size(make_wheel())
    arrivals: dict[str, Future[Path]] = {wheel.sha256: Future()}

    def download() -> None:
        with making_ahead([wheel], arrivals, RULES, cache, Quiet()):
            raise BuilderError("the download failed")

    with pytest.raises(BuilderError, match="the download failed"):
        download()
    assert layer_count(cache) == 0


def test_bad_wheel_is_told_at_the_end(make_wheel: MakeWheel, cache: Cache) -> None:
    wheel = make_wheel()
    wheel.path.write_bytes(b"not a zip")
    arrival: Future[Path] = Future()
    arrival.set_result(wheel.path)
    with (
        pytest.raises(BuilderError, match="no zip file"),
        making_ahead([wheel], {wheel.sha256: arrival}, RULES, cache, Quiet()),
    ):
        pass


def test_split_wheel_has_the_same_files_in_several_layers(make_wheel: MakeWheel, cache: Cache) -> None:
    wheel = make_wheel({f"demo/{number}.bin": bytes([number]) * 50_000 for number in range(6)})
    small = LayerRules(1, limit=120_000)
    (whole,) = made([wheel], RULES, cache)
    parts = made([wheel], small, cache)
    assert len(parts) > 2
    assert all(part.tar_size <= 120_000 + 10_240 for part in parts)
    held = [files_of(part) for part in parts]
    assert set().union(*held) == files_of(whole)
    assert sum(map(len, held)) == len(files_of(whole))
    assert any(".dist-info/RECORD" in name for name in held[-1])
    jobs = settled_plan([wheel], small, cache)
    assert [job.packages for job in jobs] == [*[()] * (len(parts) - 1), (("demo", "1.0"),)]


def test_split_bucket_is_made_ahead_too(make_wheel: MakeWheel, cache: Cache) -> None:
    wheels = [make_wheel({f"{name}/x.bin": bytes(50_000)}, name=name) for name in "abcdefghijklmnop"]
    small = LayerRules(1, limit=120_000)
    arrivals: dict[str, Future[Path]] = {wheel.sha256: Future() for wheel in wheels}
    for wheel in wheels:
        arrivals[wheel.sha256].set_result(wheel.path)
    with making_ahead(wheels, arrivals, small, cache, Quiet()):
        pass
    count = layer_count(cache)
    assert count == len(made(wheels, small, cache)) == layer_count(cache)
    assert all(layer.tar_size <= 120_000 + 10_240 for layer in made(wheels, small, cache))


def test_wheels_of_layers_that_are_there_are_not_needed(make_wheel: MakeWheel, cache: Cache) -> None:
    wheels = [of_known_size(make_wheel(name=name)) for name in "abcdefghijklmnop"]
    assert needed_for_layers(wheels, RULES, cache) == {wheel.sha256 for wheel in wheels}
    first, *_ = settled_plan(wheels, RULES, cache)
    made(wheels, RULES, cache)
    for wheel in wheels:
        wheel.path.unlink()
    assert needed_for_layers(wheels, RULES, cache) == frozenset()
    layer = cache.layer(first.recipe)
    assert layer is not None
    layer.path.unlink()
    assert needed_for_layers(wheels, RULES, cache) == {wheel.sha256 for wheel in first.layer.wheels}


def test_wheels_that_were_never_measured_are_needed(make_wheel: MakeWheel, cache: Cache) -> None:
    wheel = of_known_size(make_wheel())
    made([wheel], RULES, cache)
    for note in cache.records("trees").iterdir():
        note.unlink()
    assert needed_for_layers([wheel], RULES, cache) == {wheel.sha256}


def test_without_sizes_in_the_lock_wheels_that_are_not_there_are_needed(
    make_wheel: MakeWheel, cache: Cache
) -> None:
    wheel = make_wheel()
    made([wheel], RULES, cache)
    assert needed_for_layers([wheel], RULES, cache) == {wheel.sha256}


def test_layers_of_wheels_that_do_not_come_are_left_alone(make_wheel: MakeWheel, cache: Cache) -> None:
    first, second = (of_known_size(make_wheel(name=name)) for name in "ab")  # of two buckets
    arrival: Future[Path] = Future()
    arrival.set_result(first.path)
    with making_ahead([first, second], {first.sha256: arrival}, RULES, cache, Quiet()):
        pass
    assert layer_count(cache) == 1
