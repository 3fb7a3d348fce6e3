"""Work that is done again and again beside the answering of requests, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from compliance.errors import ComplianceError

RETRY_SECONDS: Final = 10.0
"""How long after a round that failed the next one begins, at most."""

log = logging.getLogger(__name__)


class Rounds:
    """Rounds of the work called `name`. One that fails is logged, and followed by another whatever it was."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ending = threading.Event()
        self._wanted = threading.Event()

    @property
    def ending(self) -> bool:
        """Whether a round that is under way had better end."""
        return self._ending.is_set()

    def soon(self) -> None:
        """Say that there is something to do: the next round does not wait for its time."""
        self._wanted.set()

    @contextmanager
    def going(self, once: Callable[[], object], every: float | None = None) -> Iterator[None]:
        """Do `once` now, and again `every` so many seconds or when it is wanted, while the block lasts."""
        thread = threading.Thread(target=self._go, args=(once, every), name=self._name)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._wanted.set()
            thread.join()

    def _go(self, once: Callable[[], object], every: float | None) -> None:
        retry = RETRY_SECONDS if every is None else min(every, RETRY_SECONDS)
        while not self.ending:
            self._wanted.clear()
            try:
                once()
            except ComplianceError as error:
                log.warning("%s has to wait: %s", self._name, error)
                self._ending.wait(retry)
            except Exception:
                # Nobody else would do the work: whatever it is, the next round may go better.
                log.exception("%s failed", self._name)
                self._ending.wait(retry)
            else:
                self._wanted.wait(every)
