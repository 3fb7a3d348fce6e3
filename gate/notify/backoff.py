"""When a message that was not taken is tried again, and when no more. Pure: the clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=3)
"""How long a message is tried, from when it was made. The first try is made however late it is."""


def wait_after(tries: int, chance: Callable[[], float], asked: timedelta | None = None) -> timedelta:
    """How long to wait after so many tries: doubled each time, and between half of that and all of it.

    `asked` is what the receiver asked for; it counts where it is longer. `chance` gives a number from 0 to 1.
    """
    longest = min(LONGEST, FIRST * (1 << min(tries - 1, 20)))
    wait = longest * (0.5 + chance() / 2)
    return wait if asked is None else max(wait, min(asked, LONGEST))


def is_over(made: datetime, now: datetime) -> bool:
    """Whether a message that was made at that time has been tried for long enough."""
    return now - made >= GIVEN_UP_AFTER
