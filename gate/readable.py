"""What may be read, asked of the store and remembered for a moment: a pull that thousands make costs little.

A change that this gate makes counts at once; one that another gate on the same database makes, within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from compliance.oci.digest import Digest
from gate.schema import StoredManifest
from gate.standings import Standing
from gate.store import Store

SECONDS: Final = 1.0
ENTRIES: Final = 4096
LARGE: Final = 64 << 10
"""Bytes; manifests above are rare, and are read anew each time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read:
    """A manifest that was published, and how it stands where it no longer complies.

    An index is not `whole` any more when something that it names was deleted.
    """

    manifest: StoredManifest
    standing: Standing | None
    whole: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    found: Any
    change: int
    until: float


class Readable:
    """Questions about what was published. For the event loop; the store is asked in a thread."""

    def __init__(self, store: Store, now: Callable[[], datetime], entries: int = ENTRIES) -> None:
        self._store = store
        self._now = now
        self._entries = entries
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def manifest(self, repository: str, target: str) -> Read | None:
        """The manifest behind a tag or digest."""
        found = await self._ask(repository, (repository, target), lambda: self._with_standing(repository, target))
        if found is not None and len(found.manifest.raw) > LARGE:
            self._answers.pop((repository, target), None)
        return found

    def has_ended(self, standing: Standing) -> bool:
        """Whether what stands so may no longer be pulled, now."""
        return standing.has_ended(self._now())

    def _with_standing(self, repository: str, target: str) -> Read | None:
        found = self._store.manifest(repository, target)
        if found is None:
            return None
        return Read(found, self._store.standings.of(found), self._store.standings.is_whole(found))

    async def blob(self, repository: str, digest: Digest, *, published: bool) -> Digest | None:
        """What the registry behind the gate calls a blob of this repository."""
        return await self._ask(
            repository,
            (repository, digest, published),
            lambda: self._store.blobs.stored_as(repository, digest, published=published, at=self._now()),
        )

    async def _ask(self, repository: str, key: Hashable, ask: Callable[[], T]) -> T:
        change = self._store.changes(repository)
        answer = self._answers.get(key)
        if answer is not None and answer.change == change and answer.until > time.monotonic():
            return cast(T, answer.found)
        # Noted before the store is asked: what changes meanwhile makes the answer an old one.
        asked = time.monotonic()
        found = await asyncio.to_thread(ask)
        self._answers[key] = _Answer(found, change, asked + SECONDS)
        self._answers.move_to_end(key)
        while len(self._answers) > self._entries:
            self._answers.popitem(last=False)
        return found
