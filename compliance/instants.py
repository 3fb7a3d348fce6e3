"""Points in time: meant in UTC, and read so."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter


def in_utc(value: datetime) -> datetime:
    """The same instant in UTC, which is meant where none is given. The ends of the calendar stay as they are."""
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return value


def days_before(at: datetime, days: int) -> datetime | None:
    """So many days before `at`; None where the calendar begins later."""
    try:
        return at - timedelta(days=days)
    except OverflowError:
        return None


_ANY_TIME: Final = TypeAdapter(datetime)


@functools.lru_cache(maxsize=1 << 14)
def _read(text: str) -> datetime:
    return in_utc(_ANY_TIME.validate_python(text))


def _read_text(value: Any) -> Any:
    """What is no time is left for pydantic to complain of."""
    try:
        return _read(value) if type(value) is str else value
    except ValueError:
        return value


Instant = Annotated[datetime, BeforeValidator(_read_text)]
"""A time that is stored as text: read as pydantic reads times, into UTC.

Times of one zone are compared twenty times as fast as those of two, and the same text gives the same object:
stored evidence holds few times, each again and again.
"""
