"""Messages that are to be sent, on disk until they are taken: claimed by one gate at a time, for a while."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from gate.database import Database
from gate.notify.backoff import GIVEN_UP_AFTER, is_over, wait_after
from gate.notify.tables import StoredDelivery, StoredNotice

WAITING: Final = 1000
"""Messages that may wait for one sink. No more are made meanwhile; the audit log keeps what they are made of."""

LEASE: Final = timedelta(minutes=2)
"""How long a gate has for what it claims; one that was killed has not kept it for longer."""

AT_ONCE: Final = 5
"""Messages for one sink that are claimed together."""

KEPT: Final = timedelta(days=30)
"""How long it is shown that a message was given up on."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in the outbox. `oldest` is when the oldest message that waits was made."""

    waiting: int
    failed: int
    oldest: datetime | None


class Outbox:
    """May be used from several threads. `chance` gives numbers from 0 to 1."""

    def __init__(self, database: Database, now: Callable[[], datetime], chance: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._chance = chance

    def claim(self, sinks: Collection[str]) -> Sequence[StoredDelivery]:
        """Messages whose time has come, by this gate alone until the claim ends; oldest first."""
        with self._database.reading() as session:
            busy = [
                sink for sink in sinks if session.scalars(_due(sink, self._now()).limit(1)).first() is not None
            ]
        if not busy:
            return ()
        with self._database.writing() as session:
            now = self._now()
            claimed = [row for sink in busy for row in session.scalars(_due(sink, now).limit(AT_ONCE))]
            for row in claimed:
                row.claimed = now + LEASE
            return claimed

    def taken(self, delivery: StoredDelivery) -> None:
        """Forget a message that the receiver has."""
        with self._database.writing() as session:
            row = session.get(StoredDelivery, delivery.id)
            if row is not None:
                session.delete(row)

    def not_taken(
        self, delivery: StoredDelivery, problem: str, asked: timedelta | None = None, *, down: bool = False
    ) -> bool:
        """Note that a message was not taken, and why; True when it is given up on now.

        Where the receiver is `down`, the others for it wait for as long.
        """
        with self._database.writing() as session:
            now = self._now()
            row = session.get(StoredDelivery, delivery.id)
            if row is None or row.claimed != delivery.claimed or row.failed is not None:
                return False  # another gate has been at it since
            row.tries += 1
            row.problem, row.claimed = problem, None
            row.due = now + wait_after(row.tries, self._chance, asked)
            if is_over(row.at, now):
                row.failed = now
            if down:
                sooner = (
                    StoredDelivery.sink == row.sink,
                    StoredDelivery.failed.is_(None),
                    StoredDelivery.due < row.due,
                )
                session.execute(update(StoredDelivery).where(*sooner).values(due=row.due))
            return row.failed is not None

    def release(self, deliveries: Collection[StoredDelivery]) -> None:
        """Give back what was claimed and not tried."""
        with self._database.writing() as session:
            for delivery in deliveries:
                row = session.get(StoredDelivery, delivery.id)
                if row is not None and row.claimed == delivery.claimed:
                    row.claimed = None

    def tidy(self, sinks: Collection[str]) -> Sequence[StoredDelivery]:
        """Give up on what is old for sinks that are no more, and return it; forget what failed long ago."""
        now = self._now()
        orphaned = select(StoredDelivery).where(
            StoredDelivery.sink.not_in(tuple(sinks)),
            StoredDelivery.failed.is_(None),
            StoredDelivery.at <= now - GIVEN_UP_AFTER,
        )
        forgotten = StoredDelivery.failed <= now - KEPT
        unread = and_(StoredNotice.sink.not_in(tuple(sinks)), StoredNotice.at <= now - GIVEN_UP_AFTER)
        queries = (orphaned, select(StoredDelivery).where(forgotten), select(StoredNotice).where(unread))
        with self._database.reading() as session:
            if all(session.scalars(query.limit(1)).first() is None for query in queries):
                return ()
        with self._database.writing() as session:
            session.execute(delete(StoredDelivery).where(forgotten))
            session.execute(delete(StoredNotice).where(unread))
            rows = session.scalars(orphaned).all()
            for row in rows:
                row.failed, row.problem = now, "the notify file has no sink of this name any more"
            return rows

    def all(self, limit: int) -> Sequence[StoredDelivery]:
        """Messages that wait and those given up on, oldest first."""
        query = select(StoredDelivery).order_by(StoredDelivery.at, StoredDelivery.id).limit(limit)
        with self._database.reading() as session:
            return session.scalars(query).all()

    def counts(self) -> Counts:
        waits = StoredDelivery.failed.is_(None)
        with self._database.reading() as session:
            waiting, oldest = session.execute(select(func.count(), func.min(StoredDelivery.at)).where(waits)).one()
            failed = session.scalar(select(func.count()).select_from(StoredDelivery).where(~waits)) or 0
            return Counts(waiting, failed, oldest)


def room(session: Session, sink: str) -> int:
    """How many messages may still be made for a sink."""
    waits = and_(StoredDelivery.sink == sink, StoredDelivery.failed.is_(None))
    return WAITING - (session.scalar(select(func.count()).select_from(StoredDelivery).where(waits)) or 0)


def _due(sink: str, now: datetime) -> Select[StoredDelivery]:
    return (
        select(StoredDelivery)
        .where(
            StoredDelivery.sink == sink,
            StoredDelivery.failed.is_(None),
            StoredDelivery.due <= now,
            or_(
                StoredDelivery.claimed.is_(None),
                StoredDelivery.claimed <= now,
                StoredDelivery.claimed > now + LEASE,  # the clock was set back
            ),
        )
        .order_by(StoredDelivery.at, StoredDelivery.id)
    )
