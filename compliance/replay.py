"""Replays a changed directory of policies over an archive of judged evidence, on several processes."""

from __future__ import annotations

import functools
import gc
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from compliance.archive import judged_names, read_judged
from compliance.policy.impact import Replay, VerdictChange, change_of
from compliance.policy.loader import load_policies

FEW: Final = 200
"""Up to this many pairs, starting processes costs more than they save."""

CHUNK: Final = 100


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
            yield from replay_some(archive, chunk, plan)
        return
    with processes_for_evidence(processes) as pool:
        tasks = [pool.submit(replay_some, archive, chunk, plan) for chunk in chunks]
        try:
            for task in tasks:
                yield from task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def processes_for_evidence(number: int) -> ProcessPoolExecutor:
    """Processes that read much evidence: trees without circles, which no collector need look through often."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=spawn, initializer=gc.set_threshold, initargs=(50_000, 50, 50))


def replay_some(archive: Path, names: tuple[str, ...], plan: Plan) -> list[VerdictChange]:
    """The changes among the named pairs."""
    replay = _loaded(plan)
    judged = (read_judged(archive, name) for name in names)
    changes = (change_of(replay, one.evidence, one.decision) for one in judged)
    return [change for change in changes if change is not None]


@functools.lru_cache(maxsize=1)
def _loaded(plan: Plan) -> Replay:
    return plan.load()
