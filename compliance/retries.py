"""How often a cut or busy server is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer otherwise a moment later."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to try, and how long to wait before the next time. Seconds, doubled each time.

    The count starts again whenever the transfer has come further.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 20.0

    def wait(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait after so many failures, or what the server asked for, if that is not absurd."""
        if asked is not None:
            return min(self.longest_wait, asked)
        return min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1))
