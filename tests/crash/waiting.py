"""Doing things at once, and waiting for what should come of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tests.crash.model import Told


def at_once(work: Sequence[Callable[[], Told]] | Sequence[Callable[[], Told | None]]) -> list[Told]:
    """Do all of it at once; what was told, in the order in which it came."""
    told: list[Told] = []
    threads = [threading.Thread(target=lambda each=each: told.append(each())) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def either(holds: Callable[[], bool], done: threading.Event) -> bool:
    """Wait until something holds, or something else is over; whether it holds."""
    deadline = time.monotonic() + 30
    while not holds():
        if done.is_set() or time.monotonic() > deadline:
            return holds()
        time.sleep(0.005)
    return True


def soon(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds; whether it does before the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
