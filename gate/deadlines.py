"""Until when what was admitted and no longer complies may be pulled. Pure: the clock is an argument.

Each cause has a deadline of its own, from when it was first found. Nothing makes it later: not a change of days,
not that the cause went away for a while and came back. The earliest of the causes that are there counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from compliance.policy.later import Blocking


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that was found later. `names` are all that a vulnerability was known by."""

    check: str
    culprit: str
    names: tuple[str, ...]
    first: datetime
    until: datetime

    def is_same_as(self, found: Blocking) -> bool:
        return (self.check, self.culprit) == (found.check, found.culprit) and not set(self.names).isdisjoint(
            found.names
        )


@dataclass(frozen=True, slots=True)
class Causes:
    """All that was ever found of one image, whether or not it is there now."""

    known: tuple[Cause, ...] = ()

    def after(self, found: Iterable[Blocking], at: datetime) -> tuple[Causes, datetime | None]:
        """What is known when `found` is there at `at`, and the deadline; None when nothing was found."""
        known, present = list(self.known), []
        for each in found:
            cause = next((one for one in known if one.is_same_as(each)), None)
            if cause is None:
                cause = Cause(each.check, each.culprit, each.names, at, _days_after(at, each.days))
            else:
                known.remove(cause)
                names = (*cause.names, *(name for name in each.names if name not in cause.names))
                until = min(cause.until, _days_after(cause.first, each.days))
                cause = replace(cause, names=names, until=until)
            known.append(cause)
            present.append(cause.until)
        ordered = sorted(known, key=lambda one: (one.first, one.check, one.culprit, one.names))
        return Causes(tuple(ordered)), min(present, default=None)


def _days_after(moment: datetime, days: int) -> datetime:
    try:
        return moment + timedelta(days=days)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
