"""Replays a changed directory of policies over an archive of judged evidence, on several processes."""

from __future__ import annotations

import functools
import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from compliance.archive import judged_names, read_judged
from compliance.policy.impact import Replay, change_of
from compliance.policy.loader import load_policies
from compliance.policy.verdict_change import VerdictChange

FEW: Final = 200
"""Up to this many pairs, starting processes costs more than they save."""

CHUNK: Final = 100

_SELDOM: Final = (50_000, 50, 50)
"""When to look for garbage: evidence is trees without circles, which no collector need look through often."""

ChunkT = TypeVar("ChunkT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Plan:
    """As `Replay`, with policies named by their directories, which every process reads for itself."""

    new: Path
    at: datetime
    old: Path | None = None
    until: datetime | None = None

    def load(self) -> Replay:
        """Read the policies. Raises InvalidInput, with file and line, for the first thing that is wrong."""
        old = load_policies(self.old) if self.old is not None else None
        return Replay(load_policies(self.new), self.at, old, self.until)


def replay_archive(archive: Path, plan: Plan, *, processes: int = 1) -> Iterator[VerdictChange]:
    """The images of `archive` whose verdict changes, in the order of their names.

    Raises InvalidInput as reading policies and archive does.
    """
    names = judged_names(archive)
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    if processes <= 1 or len(names) <= FEW:
        for chunk in chunks:
            yield from replay_some(archive, plan, chunk)
        return
    for changes in spread(partial(replay_some, archive, plan), chunks, processes):
        yield from changes


def spread(work: Callable[[ChunkT], ResultT], chunks: Sequence[ChunkT], processes: int) -> Iterator[ResultT]:
    """What `work` gives for each chunk of much evidence, in their order, on so many processes.

    This one is one of them: it works from the end while the others start, and on until all chunks are taken.
    """
    with _few_collections(), processes_for_evidence(processes - 1) as pool:
        tasks = [pool.submit(work, chunk) for chunk in chunks]
        try:
            own: list[ResultT] = []
            while len(own) < len(tasks) and tasks[-1 - len(own)].cancel():
                own.append(work(chunks[-1 - len(own)]))
            for task in tasks[: len(tasks) - len(own)]:
                yield task.result()
            yield from reversed(own)
        finally:
            pool.shutdown(cancel_futures=True)


def processes_for_evidence(number: int) -> ProcessPoolExecutor:
    """Processes that read much evidence."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=spawn, initializer=gc.set_threshold, initargs=_SELDOM)


@contextmanager
def _few_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def replay_some(archive: Path, plan: Plan, names: tuple[str, ...]) -> list[VerdictChange]:
    """The changes among the named pairs."""
    replay = _loaded(plan)
    judged = (read_judged(archive, name) for name in names)
    changes = (change_of(replay, one.evidence, one.decision) for one in judged)
    return [change for change in changes if change is not None]


@functools.lru_cache(maxsize=1)
def _loaded(plan: Plan) -> Replay:
    return plan.load()
