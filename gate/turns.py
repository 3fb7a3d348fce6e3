"""One at a time for each of many things."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Locks by name, each there for as long as somebody wants it."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._wanted: Counter[str] = Counter()
        self._guard = threading.Lock()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Wait until nobody else is at `name`, and keep others waiting until the block ends."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
            self._wanted[name] += 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name], self._locks[name]
