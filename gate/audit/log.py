"""Appending to the audit log, in the same transaction as what an entry tells of.

Whatever changes what the gate lets in, or who may do what, says so here, so that there is never the one
without the other:

    with self._database.writing() as session:
        session.add(robot)
        self._audit.append(session, Event(Action.ROBOT_CREATED, actor=user.name, detail=robot.name))

What changes nothing in the database is told with `record`, which is a transaction of its own. Each entry holds
the hash of the one before; the hash is over canonical JSON of all its members. Writers of one database take
turns (`gate.database`), on PostgreSQL all gates together, so the chain never forks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.errors import InvalidInput
from gate.audit.entry import Event, Head, StoredEntry, chained, in_chunks, moment
from gate.database import Database, is_writing

MANY: Final = 500
"""Entries after which a checkpoint is due, whatever the time."""


class AuditLog:
    """The audit log of one database. May be used from several threads. `now` is what entries are dated by."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self.many = threading.Event()
        """Set whenever there are as many new entries as a checkpoint is due for."""

    def append(self, session: Session, event: Event) -> int:
        """Add an entry to a transaction of `Database.writing`, and return its number in the log.

        Raises ValueError for a session that only reads, since others could append at the same time.
        """
        if not is_writing(session):
            raise ValueError("the audit log is appended to within Database.writing() only")
        before = head(session)
        entry = StoredEntry(
            sequence=before.sequence + 1,
            at=moment(self._now()),
            action=event.action,
            actor=event.actor,
            repository=event.repository,
            digest=event.digest,
            decision=event.decision,
            content=event.content,
            detail=event.detail,
            previous=before.hash,
        )
        entry.hash = entry.computed()
        session.add(entry)
        session.flush()
        if entry.sequence % MANY == 0:
            self.many.set()
        return entry.sequence

    def record(self, event: Event) -> int:
        """Add an entry that stands for itself. On disk when this returns."""
        with self._database.writing() as session:
            return self.append(session, event)

    def record_change(self, event: Event) -> int | None:
        """Add an entry, unless the newest of its action pins the same content: one gate tells for all."""
        newest = (
            select(StoredEntry.content)
            .where(StoredEntry.action == event.action)
            .order_by(StoredEntry.sequence.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            if session.scalars(newest).first() == event.content:
                return None
        with self._database.writing() as session:
            return None if session.scalars(newest).first() == event.content else self.append(session, event)

    def newest(self, before: int | None, limit: int) -> Sequence[StoredEntry]:
        """Entries, newest first, those before a number."""
        query = select(StoredEntry).order_by(StoredEntry.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(StoredEntry.sequence < before)
        with self._database.reading() as session:
            return session.scalars(query).all()

    def head(self) -> Head:
        """The last entry."""
        with self._database.reading() as session:
            return head(session)

    def follow(self, last: Head) -> Head:
        """The last entry, when the chain leads there from `last`. Raises InvalidInput where it does not hold."""
        with self._database.reading() as session:
            for entries in in_chunks(session, last.sequence):
                if last.sequence and entries[0].sequence == last.sequence and entries[0].hash != last.hash:
                    raise _changed(last.sequence, f"has no longer the hash {last.hash}")
                for number, what in chained(last, [each for each in entries if each.sequence > last.sequence]):
                    raise _changed(number, what)
                last = entries[-1].head
            if head(session).sequence < last.sequence:
                raise _changed(last.sequence, "is missing, though a checkpoint is over it")
        return last


def head(session: Session) -> Head:
    """The last entry that this session sees."""
    query = select(StoredEntry.sequence, StoredEntry.hash).order_by(StoredEntry.sequence.desc()).limit(1)
    found = session.execute(query).first()
    return Head() if found is None else Head(found.sequence, found.hash)


def _changed(number: int, what: str) -> InvalidInput:
    return InvalidInput(
        f"the audit log was changed: entry {number} {what}", remedy="Find all that was: mlgate audit verify"
    )
