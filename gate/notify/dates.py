"""What comes near by the calendar: waivers that expire, bases that reach their end of life, and digests.

Each is told to each sink once: that it was is noted in the transaction that keeps the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from compliance.bases import BaseDefinition
from compliance.policy.model import Waiver
from compliance.policy.waivers import EXPIRY_NOTICE_DAYS
from gate.database import Database
from gate.image_index import ImageWaived
from gate.notify.events import LISTED, BaseData, Data, Topic, WaiverData
from gate.notify.messages import message
from gate.notify.notify_file import NotifyFile, Sink
from gate.notify.outbox import room
from gate.notify.tables import StoredTold
from gate.schema import StoredManifest

BASE_NOTICE_DAYS: Final = (90, 30)
"""How many days before its end of life a base is told of, each time once."""

PAST: Final = timedelta(days=30)
"""For how long after it expired a waiver is news."""

KEPT: Final = timedelta(days=400)
"""How long it is known that something was told. A base that is past its end is told of again then."""

_KEY: Final = 512


@dataclass(frozen=True, slots=True)
class Near:
    """Something that a date makes worth telling. `key` is the same for as long as that is the same news."""

    topic: Topic
    key: str
    owner: str
    data: Data
    repositories: frozenset[str] | None
    """Whom it concerns; None: everybody."""

    def concerns(self, sink: Sink) -> bool:
        if not sink.wants(self.topic, self.owner):
            return False
        named = self.repositories is not None and bool(sink.repositories)
        return not named or any(sink.covers(one) for one in self.repositories or ())


class Dates:
    """`source` is the URL of the gate."""

    def __init__(self, database: Database, source: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self.source = source
        self._now = now

    def tell(self, file: NotifyFile, waivers: Sequence[Waiver], bases: Sequence[BaseDefinition]) -> int:
        """Make the messages that are due, and return how many that were."""
        day = self._now().astimezone(UTC).date()
        with self._database.reading() as session:
            near = [*_waivers(session, waivers, day), *_bases(bases, day)]
        return sum(
            self.once(sink, each.topic, each.key, lambda each=each: each.data)  # type: ignore[misc]
            for sink in file.sinks
            for each in near
            if each.concerns(sink)
        )

    def forget(self) -> None:
        """Forget what was told long ago."""
        old = StoredTold.at < self._now() - KEPT
        with self._database.reading() as session:
            if session.scalars(select(StoredTold.sink).where(old).limit(1)).first() is None:
                return
        with self._database.writing() as session:
            session.execute(delete(StoredTold).where(old))

    def once(self, sink: Sink, topic: Topic, key: str, make: Callable[[], Data]) -> bool:
        """Make a message of what `make` returns, unless one was made with this key; whether it was made now."""
        name = sink.name, key[:_KEY]
        with self._database.reading() as session:
            if session.get(StoredTold, name) is not None:
                return False
        made = message(sink, topic, make(), self._now(), self.source)
        with self._database.writing() as session:
            if session.get(StoredTold, name) is not None or room(session, sink.name) < 1:
                return False
            session.add(StoredTold(sink=name[0], key=name[1], at=self._now()))
            session.add(made)
        return True


def _waivers(session: Session, waivers: Sequence[Waiver], day: date) -> Iterator[Near]:
    for waiver in waivers:
        left = (waiver.expires - day).days
        if left > EXPIRY_NOTICE_DAYS or waiver.expires < day - PAST:
            continue
        topic = Topic.WAIVER_EXPIRING if left >= 0 else Topic.WAIVER_EXPIRED
        total, repositories = _excused(session, waiver.file)
        data = WaiverData(
            waiver=waiver.file,
            rule=waiver.rule,
            owner=waiver.owner,
            reason=waiver.reason,
            expires=waiver.expires,
            days_left=left,
            total=total,
            repositories=tuple(repositories[:LISTED]),
        )
        key = f"{topic} {waiver.expires} {waiver.file}"
        yield Near(topic, key, waiver.owner, data, frozenset(repositories))


def _excused(session: Session, file: str) -> tuple[int, Sequence[str]]:
    """How many readable images a waiver excuses something in, and their repositories."""
    there = exists().where(
        StoredManifest.repository == ImageWaived.repository, StoredManifest.digest == ImageWaived.digest
    )
    images = select(ImageWaived.repository, ImageWaived.digest).where(ImageWaived.waiver == file, there).distinct()
    total = session.scalar(select(func.count()).select_from(images.subquery())) or 0
    repositories = select(ImageWaived.repository).where(ImageWaived.waiver == file, there).distinct()
    return total, sorted(session.scalars(repositories))


def _bases(bases: Sequence[BaseDefinition], day: date) -> Iterator[Near]:
    for base in {one.name: one for one in bases}.values():
        end = base.end_of_life.date()
        left = (end - day).days
        passed = [days for days in BASE_NOTICE_DAYS if left <= days]
        if not passed:
            continue
        topic = Topic.BASE_ENDING if left > 0 else Topic.BASE_ENDED
        stage = f"{min(passed)}" if left > 0 else "0"
        owner = base.base.owner
        data = BaseData(base=base.name, owner=owner, end_of_life=end, days_left=left)
        yield Near(topic, f"{topic} {end} {stage} {base.name}", owner, data, None)
