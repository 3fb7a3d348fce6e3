"""Pushes under way, which a gate that is told to stop lets end while it takes no new ones.

A push is many requests. It counts as under way while one of them is, and for a moment after each: its client is
about to send the next.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gate.errors import Code, Fault

PAUSE: Final = 3.0
"""Seconds until the next request of a client that has more blobs to push."""

AFTER_MANIFEST: Final = 0.5
"""Seconds until the next request of a client that pushes another manifest, of an index for one."""

RETRY_AFTER: Final = 5

Key = tuple[str, str]
"""Who pushes, and to which repository."""


class Pushes:
    """For the event loop. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: Counter[Key] = Counter()
        self._until: dict[Key, float] = {}
        self.stopping = False

    def stop(self) -> None:
        """Take no new pushes from now on."""
        self.stopping = True

    @contextmanager
    def request(self, user: str, repository: str, *, manifest: bool = False) -> Iterator[None]:
        """One request of a push, of its manifest or of anything else.

        Raises the 503 answer for a new push to a gate that is stopping.
        """
        key = (user, repository)
        if self.stopping and not self._is_under_way(key):
            raise Fault(
                503,
                Code.UNAVAILABLE,
                "the gate is being stopped and takes no new pushes; push again in a moment",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            self._forget()
            self._until[key] = self._clock() + (AFTER_MANIFEST if manifest else PAUSE)

    def under_way(self) -> int:
        """How many pushes are not over."""
        return sum(map(self._is_under_way, {*self._open, *self._until}))

    def _is_under_way(self, key: Key) -> bool:
        return self._open[key] > 0 or self._until.get(key, 0.0) > self._clock()

    def _forget(self) -> None:
        now = self._clock()
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        for key in [key for key, count in self._open.items() if not count]:
            del self._open[key]
