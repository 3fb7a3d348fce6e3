"""Digests that are sent by themselves: every day, or every Monday, at eight o'clock UTC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from compliance.bases import BaseDefinition
from compliance.policy.model import Waiver
from gate.notify.dates import Dates
from gate.notify.digest import digest_report
from gate.notify.digest_words import digest_in_markdown
from gate.notify.events import DigestData, Topic
from gate.notify.notify_file import Every, NotifyFile, Sink
from gate.notify.tables import StoredReader
from gate.store import Store

HOUR: Final = 8
_LASTS: Final = {Every.DAILY: timedelta(days=1), Every.WEEKLY: timedelta(days=7)}


class Digests:
    """`dates` keeps each from being told twice."""

    def __init__(self, store: Store, dates: Dates, now: Callable[[], datetime]) -> None:
        self._database = store.database
        self._dates = dates
        self._now = now

    def tell(self, file: NotifyFile, waivers: Sequence[Waiver], bases: Sequence[BaseDefinition]) -> None:
        """Make the digests that are due. A sink gets none of the time before it was first there."""
        for sink in file.sinks:
            if sink.digest is None:
                continue
            end = last_end(self._now(), sink.digest)
            with self._database.reading() as session:
                reader = session.get(StoredReader, sink.name)
            if reader is None or reader.since >= end:
                continue
            self._dates.once(
                sink,
                Topic.DIGEST,
                f"digest {end.date()}",
                lambda sink=sink, end=end: self._data(sink, end, waivers, bases),  # type: ignore[misc]
            )

    def _data(
        self, sink: Sink, end: datetime, waivers: Sequence[Waiver], bases: Sequence[BaseDefinition]
    ) -> DigestData:
        since = end - _LASTS[sink.digest or Every.WEEKLY]
        report = digest_report(self._database, waivers, bases, since=since, until=end, covers=sink.covers)
        return DigestData(since=since, until=end, markdown=digest_in_markdown(report, self._dates.source))


def last_end(now: datetime, every: Every) -> datetime:
    """When the last time that a digest is about had ended."""
    at = now.astimezone(UTC).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if at > now:
        at -= timedelta(days=1)
    return at if every is Every.DAILY else at - timedelta(days=at.weekday())
