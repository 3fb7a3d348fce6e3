"""Replays a changed set of policies over an archive of judged evidence, on several processes."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from compliance.archive import judged_names, read_judged
from compliance.policy.impact import Replay, VerdictChange, change_of

FEW: Final = 200
"""Up to this many pairs, starting processes costs more than they save."""

CHUNK: Final = 100


def replay_archive(archive: Path, replay: Replay, *, processes: int = 1) -> Iterator[VerdictChange]:
    """The images of `archive` whose verdict changes, in the order of their names.

    Raises InvalidInput as reading the archive does.
    """
    names = judged_names(archive)
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    if processes <= 1 or len(names) <= FEW:
        for chunk in chunks:
            yield from replay_some(archive, chunk, replay)
        return
    with processes_for_evidence(processes) as pool:
        tasks = [pool.submit(replay_some, archive, chunk, replay) for chunk in chunks]
        try:
            for task in tasks:
                yield from task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def processes_for_evidence(number: int) -> ProcessPoolExecutor:
    """Processes that read much evidence: trees without circles, which no collector need look through often."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=spawn, initializer=gc.set_threshold, initargs=(50_000, 50, 50))


def replay_some(archive: Path, names: tuple[str, ...], replay: Replay) -> list[VerdictChange]:
    """The changes among the named pairs."""
    judged = (read_judged(archive, name) for name in names)
    changes = (change_of(replay, one.evidence, one.decision) for one in judged)
    return [change for change in changes if change is not None]
