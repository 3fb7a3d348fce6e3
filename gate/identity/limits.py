"""How often somebody may ask, and how often a login may be wrong: token buckets, by who or whence.

They are counted by each gate for itself. Memory is bounded: what was not heard of for longest is forgotten, which
lets it begin anew and nothing more.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gate.errors import Code, Fault

KEPT: Final = 10_000
BURST_SECONDS: Final = 5
"""How many seconds' worth of requests may come at once."""

WRONG_PER_NAME: Final = 10
"""Wrong logins a minute by one address under one name; a name is not locked for other addresses."""

WRONG_PER_ADDRESS: Final = 60
"""Wrong logins a minute by one address, whatever the names."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Buckets:
    """Buckets that fill by `rate` a second up to `burst`. `clock` counts seconds. For several threads."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic, kept: int = KEPT
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._kept = kept
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one out and return 0; where there is none, take nothing and return the seconds until there is."""
        with self._lock:
            bucket = self._filled(key)
            if bucket.left < 1:
                return (1 - bucket.left) / self._rate
            bucket.left -= 1
            return 0.0

    def wait(self, key: str) -> float:
        """The seconds until one can be taken."""
        with self._lock:
            return max(0.0, (1 - self._filled(key).left) / self._rate)

    def _filled(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        self._buckets.move_to_end(key)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        if len(self._buckets) > self._kept:
            self._buckets.popitem(last=False)
        return bucket


class Limits:
    """All limits of a gate. `per_second` is requests by one identity, or by one address without a login."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._requests = Buckets(per_second, per_second * BURST_SECONDS, clock)
        self._names = Buckets(WRONG_PER_NAME / 60, WRONG_PER_NAME, clock)
        self._addresses = Buckets(WRONG_PER_ADDRESS / 60, WRONG_PER_ADDRESS, clock)

    def request(self, who: str) -> None:
        """Count a request. Raises the 429 answer for one too many."""
        seconds = self._requests.take(who)
        if seconds:
            raise _too_many("requests", seconds)

    def may_guess(self, name: str, address: str) -> None:
        """Raise the 429 answer when too many logins were wrong for another password to be looked at."""
        seconds = self._wait(f"{address} {name}", address)
        if seconds:
            raise _too_many("wrong logins", seconds)

    def wrong(self, name: str, address: str) -> bool:
        """Count a wrong login; True when it was the last before others have to wait."""
        under = f"{address} {name}"
        waited = self._wait(under, address)
        self._names.take(under)
        self._addresses.take(address)
        return not waited and self._wait(under, address) > 0

    def _wait(self, under: str, address: str) -> float:
        return max(self._names.wait(under), self._addresses.wait(address))


def _too_many(what: str, seconds: float) -> Fault:
    wait = max(1, math.ceil(seconds))
    message = f"too many {what}; wait {wait} s"
    return Fault(429, Code.TOOMANYREQUESTS, message, headers={"Retry-After": str(wait)})
