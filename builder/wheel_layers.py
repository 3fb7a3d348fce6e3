"""The layers of the wheels, made side by side, each as soon as its wheels are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from builder.cache import Cache, StoredLayer
from builder.layers.inputs import WheelInput
from builder.layers.plan import split
from builder.passing_objects import reading_objects
from builder.progress import Advance, Progress
from builder.wheel_plan import LayerRules, WheelJob, noted_plan, tree_of, unmade


def make_wheel_layers(
    jobs: Sequence[WheelJob], cache: Cache, progress: Progress, *, workers: int | None = None
) -> list[StoredLayer]:
    """The layers of a plan whose wheels are all there; those that are not in the cache are made side by side."""
    missing = unmade(jobs, cache)
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
    else what the work raises is raised at the end. The plan is what is noted of wheels: where it turns out
    that a layer must be split, the parts of its wheels are made. A layer with a wheel that is not to arrive
    is left alone.
    """
    for wheel in wheels:
        if wheel.locked_size is None and wheel.sha256 in arrivals:  # the plan goes by sizes
            arrivals[wheel.sha256].result()
    planned, _ = noted_plan(wheels, rules, cache)
    groups = {
        job.layer.wheels: job
        for job in unmade(planned, cache)
        if all(wheel.sha256 in arrivals for wheel in job.layer.wheels)
    }
    jobs = list(groups.values())
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


def _make(job: WheelJob, cache: Cache, advance: Advance) -> None:
    if job.layer.parts == 1:
        reading = partial(reading_objects, cache=cache)
        cache.make_layer(job.recipe, partial(job.write, reading=reading))
    else:  # a part has not all objects
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
