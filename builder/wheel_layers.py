"""The layers of the wheels: planned, and made side by side, each as soon as its wheels are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from builder.cache import Cache, Recipe, StoredLayer
from builder.layers.inputs import Environment, WheelInput
from builder.layers.plan import LAYER_LIMIT, Tree, WheelLayer, overlay, plan_layers, split
from builder.layers.tar import LAYOUT_VERSION, Compression, Entry, WrittenLayer, write_layer
from builder.layers.tree import cut, measure_tree
from builder.layers.wheel import open_wheel
from builder.lockfile import LockedWheel
from builder.progress import Advance, Progress
from compliance.oci.digest import Digest

_TREES: Final = "trees"


def wheel_input(wheel: LockedWheel, cache: Cache) -> WheelInput:
    """A locked wheel at the place that it has in the cache once it is there."""
    path = cache.path(Digest(f"sha256:{wheel.sha256}"))
    return WheelInput(path, wheel.name, wheel.version, wheel.sha256, wheel.direct, wheel.size)


@dataclass(frozen=True, slots=True)
class LayerRules:
    """What layers of wheels depend on besides the wheels. `limit` is in bytes, uncompressed."""

    base_layers: int
    environment: Environment = Environment()  # noqa: RUF009 - frozen
    compression: Compression = Compression.GZIP
    limit: int = LAYER_LIMIT

    def plan(self, wheels: Sequence[WheelInput], trees: Mapping[str, Tree] | None = None) -> list[WheelJob]:
        layers = plan_layers(wheels, base_layers=self.base_layers, trees=trees, limit=self.limit)
        return [WheelJob(layer, self) for layer in layers]


@dataclass(frozen=True, slots=True)
class WheelJob:
    """One layer to make."""

    layer: WheelLayer
    rules: LayerRules

    @property
    def recipe(self) -> Recipe:
        inputs = tuple(
            f"{canonicalize_name(wheel.name)} {wheel.version} {wheel.digest}{' requested' * wheel.direct}"
            for wheel in self.layer.wheels
        )
        if self.layer.parts > 1:
            inputs += (f"part {self.layer.part} of {self.layer.parts}, {self.rules.limit}",)
        environment = self.rules.environment
        return Recipe("wheels", inputs, environment.prefix, environment.python, self.rules.compression)

    @property
    def size(self) -> int:
        """Bytes of wheels to read, compressed."""
        return sum(wheel.size for wheel in self.layer.wheels) // self.layer.parts

    @property
    def packages(self) -> tuple[tuple[str, str], ...]:
        return tuple((canonicalize_name(wheel.name), wheel.version) for wheel in self.layer.completes)

    def write(self, blob: BinaryIO) -> WrittenLayer:
        with ExitStack() as stack:
            trees = [stack.enter_context(open_wheel(wheel, self.rules.environment)) for wheel in self.layer.wheels]
            return write_layer(self._part(overlay(trees)), blob, compression=self.rules.compression)

    def _part(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if self.layer.parts == 1:
            return entries
        return cut(entries, self.rules.limit)[self.layer.part - 1]


def settled_plan(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> list[WheelJob]:
    """The layers of these wheels, which are on disk unless they were measured before."""
    return rules.plan(wheels, {wheel.sha256: tree_of(wheel, rules, cache) for wheel in wheels})


def foreseen_plan(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> tuple[list[WheelJob], bool]:
    """The layers as far as they can be told without downloading, and whether that is for certain.

    It is when every wheel was measured before, or is there.
    """
    known = {
        wheel.sha256: tree_of(wheel, rules, cache) if cache.get(wheel.digest) else _noted(wheel, rules, cache)
        for wheel in wheels
    }
    trees = {sha256: tree for sha256, tree in known.items() if tree is not None}
    if len(trees) == len(known):
        return rules.plan(wheels, trees), True
    small = Tree(0)  # most wheels are
    return rules.plan(wheels, {sha256: tree or small for sha256, tree in known.items()}), False


def make_wheel_layers(
    jobs: Sequence[WheelJob], cache: Cache, progress: Progress, *, workers: int | None = None
) -> list[StoredLayer]:
    """The layers of a plan whose wheels are all there; those that are not in the cache are made side by side."""
    missing = [job for job in jobs if cache.layer(job.recipe) is None]
    if missing:
        progress.step(f"Making {len(missing)} of {len(jobs)} layers")
    with (
        progress.bytes("layers", sum(job.size for job in missing)) as advance,
        ThreadPoolExecutor(workers or _cores(), "layer") as pool,
    ):
        _finish([pool.submit(_make, job, cache, advance) for job in missing])
    return [cache.make_layer(job.recipe, job.write) for job in jobs]


@contextmanager
def making_ahead(
    wheels: Sequence[WheelInput],
    arrivals: Mapping[str, Future[Path]],
    rules: LayerRules,
    cache: Cache,
    progress: Progress,
    *,
    workers: int | None = None,
) -> Iterator[None]:
    """Make layers while the block runs and wheels arrive, so that later they are in the cache.

    At the end of the block all that could be foretold has been made. What the block raises ends the work;
    else what the work raises is raised at the end. The plan is what is foretold without the sizes of trees:
    where a layer must be split, the parts of its wheels are made.
    """
    for wheel in wheels:
        if wheel.locked_size is None:  # the plan goes by sizes
            arrivals[wheel.sha256].result()
    jobs = [job for job in rules.plan(wheels) if cache.layer(job.recipe) is None]
    if not jobs:
        yield
        return
    with (
        progress.bytes("layers", sum(job.size for job in jobs)) as advance,
        ThreadPoolExecutor(workers or _cores(), "layer") as pool,
        ThreadPoolExecutor(1, "ahead") as watcher,
    ):
        ahead = _Ahead(jobs, arrivals, rules, cache, advance, pool)
        work = watcher.submit(ahead.run)
        try:
            yield
        except BaseException:
            ahead.stop()
            raise
        work.result()


class _Ahead:
    """Hands each layer to the pool when its last wheel has arrived, in the order of arrival."""

    def __init__(
        self,
        jobs: Sequence[WheelJob],
        arrivals: Mapping[str, Future[Path]],
        rules: LayerRules,
        cache: Cache,
        advance: Advance,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._jobs = jobs
        self._arrivals = arrivals
        self._rules = rules
        self._cache = cache
        self._advance = advance
        self._pool = pool
        self._stop: Future[None] = Future()

    def stop(self) -> None:
        self._stop.set_result(None)

    def run(self) -> None:
        waiting = [(job, {self._arrivals[wheel.sha256] for wheel in job.layer.wheels}) for job in self._jobs]
        running: set[Future[None]] = set()
        try:
            while (waiting or running) and not self._stop.done():
                for job, files in list(waiting):
                    if all(file.done() for file in files):
                        waiting.remove((job, files))
                        running.add(self._pool.submit(self._make, job, files))
                awaited: set[Future[Any]] = {*running, self._stop}
                awaited.update(file for _, files in waiting for file in files if not file.done())
                done, _ = wait(awaited, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                running -= done
        finally:
            for future in running:
                future.cancel()

    def _make(self, job: WheelJob, files: set[Future[Path]]) -> None:
        for file in files:
            file.result()
        trees = {wheel.sha256: tree_of(wheel, self._rules, self._cache) for wheel in job.layer.wheels}
        for part in split(job.layer.wheels, trees, self._rules.limit):
            _make(WheelJob(part, self._rules), self._cache, self._advance)


class _TreeRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    parts: int


def tree_of(wheel: WheelInput, rules: LayerRules, cache: Cache) -> Tree:
    """What a wheel installs, as noted in the cache; else measured, for which the wheel must be there."""
    known = _noted(wheel, rules, cache)
    if known is None:
        known = measure_tree(wheel, rules.environment, rules.limit)
        cache.remember(_TREES, _key(wheel, rules), _TreeRecord(size=known.size, parts=known.parts))
    return known


def _noted(wheel: WheelInput, rules: LayerRules, cache: Cache) -> Tree | None:
    record = cache.recall(_TREES, _key(wheel, rules), _TreeRecord)
    return None if record is None else Tree(record.size, record.parts)


def _key(wheel: WheelInput, rules: LayerRules) -> str:
    environment = rules.environment
    parts = f"{wheel.sha256} {environment.prefix} {environment.python} {rules.limit} {LAYOUT_VERSION}"
    return Digest.of(parts.encode()).hex


def _make(job: WheelJob, cache: Cache, advance: Advance) -> None:
    cache.make_layer(job.recipe, job.write)
    advance(job.size)


def _finish(futures: Sequence[Future[None]]) -> None:
    """Wait for all; the first error is raised, and what has not begun by then is given up."""
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def _cores() -> int:
    return os.cpu_count() or 1
