"""Previews that are under way or were made lately. Each is of one maker, and nobody else ever learns of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput, Unavailable
from gate.errors import Code, Fault
from gate.previews.messages import Accepted, Answer, Changed, Done, Job, Judged, Problem, Refused, Uploaded
from gate.previews.process import Evidence, try_out
from gate.previews.unpacking import snapshot
from gate.previews.worker import IN_FORCE

KEPT_SECONDS: Final = 1800.0
MOST_KEPT: Final = 30
MOST_WAITING: Final = 5
"""Previews under way at once, of which one is worked on."""

MOST_SHOWN: Final = 500
"""Images that are told of one by one, those that would be lost before the others."""

PATIENCE: Final = 900.0
"""Seconds that one may take."""

log = logging.getLogger(__name__)


@dataclass
class Preview:
    """One preview, and what is known of it by now."""

    id: str
    maker: str
    at: datetime
    files: tuple[str, ...]
    directory: Path
    total: int = 0
    judged: int = 0
    begun: bool = False
    problems: tuple[Problem, ...] = ()
    accepted: Accepted | None = None
    lost: list[Changed] = field(default_factory=list)
    others: list[Changed] = field(default_factory=list)
    all_lost: int = 0
    all_others: int = 0
    unreadable: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    done: bool = False
    until: float = float("inf")
    stop: Callable[[], object] = bool

    def take(self, answer: Answer) -> None:
        """Note what the process says."""
        match answer:
            case Accepted():
                self.accepted = answer
            case Refused():
                self.problems = answer.problems
            case Judged():
                self.judged = answer.count
            case Done():
                self.judged, self.unreadable, self.done = answer.judged, answer.unreadable, True
            case Changed():
                self._change(answer)

    def _change(self, change: Changed) -> None:
        known = self.lost if change.lost else self.others
        if change.lost:
            self.all_lost += 1
        else:
            self.all_others += 1
        if len(known) < MOST_SHOWN:
            known.append(change)


class Previews:
    """For the event loop. `policies` is where those in force are, `clock` counts seconds."""

    def __init__(self, data: Path, policies: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = data / "tmp" / "previews"
        self._policies = policies
        self._clock = clock
        self._known: dict[str, Preview] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Previews]:
        """For as long as the block lasts; what is under way then ends."""
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def of(self, maker: str) -> Sequence[Preview]:
        """Those of somebody, newest first."""
        self._forget()
        return [one for one in reversed(self._known.values()) if one.maker == maker]

    def find(self, id_: str, maker: str) -> Preview | None:
        """The one with this id, for its maker."""
        self._forget()
        found = self._known.get(id_)
        return found if found is not None and found.maker == maker else None

    def require_room(self, maker: str) -> None:
        """Raise the answer for somebody who has one under way, or where too many are."""
        under_way = [one for one in self._known.values() if not one.ended.is_set()]
        if any(one.maker == maker for one in under_way):
            raise Fault(409, Code.TOOMANYREQUESTS, "you have a preview under way; wait for its end, or stop it")
        if len(under_way) >= MOST_WAITING:
            raise Fault(
                503,
                Code.TOOMANYREQUESTS,
                "many previews are under way; try again in a minute",
                headers={"Retry-After": "60"},
            )

    def new_place(self) -> Path:
        """A directory for what is uploaded."""
        self._place.mkdir(exist_ok=True)
        directory = self._place / secrets.token_hex(8)
        directory.mkdir(mode=0o700)
        return directory

    def begin(
        self, maker: str, directory: Path, files: Sequence[Uploaded], at: datetime, evidence: Evidence
    ) -> Preview:
        """Try out the files in `directory`, which is removed in the end. Raises as `require_room` does."""
        self.require_room(maker)
        names = tuple(one.name for one in files)
        preview = Preview(secrets.token_urlsafe(24), maker, at, names, directory)
        self._known[preview.id] = preview
        task = asyncio.create_task(self._make(preview, Job(at=at, files=tuple(files)), evidence))
        self._tasks.add(task)
        preview.stop = task.cancel
        task.add_done_callback(self._tasks.discard)
        return preview

    async def _make(self, preview: Preview, job: Job, evidence: Evidence) -> None:
        try:
            async with self._turn:
                preview.begun = True
                async with asyncio.timeout(PATIENCE):
                    await _copy(self._policies, preview.directory / IN_FORCE)
                    preview.total = await evidence.count()
                    await try_out(preview.directory, job, evidence, preview.take)
        except (InvalidInput, Unavailable) as error:
            preview.problems = (Problem(text=error.message, remedy=error.remedy),)
        except TimeoutError:
            preview.problems = (Problem(text=f"it took longer than {PATIENCE:.0f} s, and was stopped"),)
        except asyncio.CancelledError:
            preview.problems = (Problem(text="it was stopped"),)
            raise
        except Exception:
            log.exception("a preview failed")
            preview.problems = (Problem(text="it failed for a reason that is in the gate's log"),)
        finally:
            shutil.rmtree(preview.directory, ignore_errors=True)
            preview.until = self._clock() + KEPT_SECONDS
            preview.ended.set()

    def _forget(self) -> None:
        now = self._clock()
        ended = [one for one in self._known.values() if one.ended.is_set()]
        too_many = ended[: max(0, len(ended) - MOST_KEPT)]
        for one in ended:
            if one.until <= now or one in too_many:
                del self._known[one.id]


async def _copy(policies: Path, target: Path) -> None:
    """A snapshot by a thread. Whoever is cancelled waits for it, so that nothing is written afterwards."""
    copying = asyncio.ensure_future(asyncio.to_thread(snapshot, policies, target))
    try:
        await asyncio.shield(copying)
    finally:
        await asyncio.wait([copying])
