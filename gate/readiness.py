"""Whether a push could be decided now. Anybody may ask, so what was found is remembered for a moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from compliance.errors import Unavailable
from gate.admission import Admission
from gate.errors import NO_DATABASE
from gate.store import Store
from gate.upstream import Upstream

SECONDS: Final = 1.0
"""How long an answer is good: however many ask, database, registry and scanner are looked at once in that time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong, by what was looked at; and which rules cannot be read, so that their last state decides."""

    failed: Mapping[str, tuple[str, ...]]
    out_of_date: tuple[str, ...]


class Readiness:
    """For the event loop. `clock` counts seconds."""

    def __init__(
        self,
        store: Store,
        upstream: Upstream,
        admission: Admission,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._admission = admission
        self._clock = clock
        self._looking = asyncio.Lock()
        self._found: Found | None = None
        self._until = 0.0

    async def found(self) -> Found:
        """What was found less than a second ago, or is found now. All who ask meanwhile wait for one look."""
        async with self._looking:
            if self._found is None or self._clock() >= self._until:
                self._found = await self._look()
                self._until = self._clock() + SECONDS
            return self._found

    async def _look(self) -> Found:
        database, is_up, scanner, old = await asyncio.gather(
            asyncio.to_thread(self._of_database),
            self._upstream.is_up(),
            asyncio.to_thread(self._admission.problems),
            asyncio.to_thread(self._admission.out_of_date),
        )
        registry = () if is_up else ("the registry behind the gate does not answer",)
        return Found({"database": database, "registry": registry, "scanner": tuple(scanner)}, tuple(old))

    def _of_database(self) -> tuple[str, ...]:
        try:
            self._store.decision("")
        except Unavailable as error:
            log.warning("not ready: %s", error)
            return (NO_DATABASE,)
        return ()
