"""What the gate is about to do in the registry behind it, on disk before it does so.

The registry and the database cannot change in one step. An intent is written first, and taken away in the very
transaction that makes the change known to readers; so what a crash, or a registry that fails, leaves half done
is in this table, and nowhere else has to be searched.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Index, String, Text, delete, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Mapped, Session, mapped_column

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from gate.database import Database
from gate.schema import Table


class StoredIntent(Table):
    """A manifest that is being put or deleted, with the tag it is put at; or an upload that was begun.

    `manifest` is its digest in the registry behind the gate; `upload` is path and query of an upload there, to
    which the same id is given as to the upload. `gate` is who is at it.
    """

    __tablename__ = "intents"
    __table_args__ = (Index("intents_by_age", "at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gate: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    repository: Mapped[str] = mapped_column(String(255))
    manifest: Mapped[Digest | None]
    tag: Mapped[str | None] = mapped_column(String(128))
    upload: Mapped[str | None] = mapped_column(Text)


class Overtaken(Unavailable):
    """What this gate was at took so long that another has cleared it away."""


def fulfil(session: Session, gate: str, ids: Collection[str]) -> None:
    """Take intents away in the transaction that makes them true. Raises Overtaken when one is not there."""
    for id_ in ids:
        gone = delete(StoredIntent).where(StoredIntent.id == id_, StoredIntent.gate == gate)
        if _changed(session, gone) != 1:
            raise Overtaken("it took so long that it was given up", remedy="Push it again.")


class Intents:
    """The intents of one gate among those that share a database. May be used from several threads.

    `gate` tells it from the others, and stays the same when it is started again: what this process is not at
    any more, though it is this gate's, was left by a crash.
    """

    def __init__(self, database: Database, gate: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._active: set[str] = set()
        self._lock = threading.Lock()
        self.gate = gate

    @contextmanager
    def work(self) -> Iterator[Work]:
        """Something to do in the registry. Intents that are not fulfilled in the block are left to be settled."""
        work = Work(self)
        try:
            yield work
        finally:
            with self._lock:
                self._active.difference_update(work.ids)

    def upload(self, id_: str, repository: str, location: str) -> None:
        """Remember that an upload was begun, at `location` in the registry."""
        self._add(StoredIntent(id=id_, repository=repository, upload=location))

    def moved(self, id_: str, location: str) -> None:
        """Remember where the registry goes on with an upload, and that somebody is still at it."""
        going_on = update(StoredIntent).where(StoredIntent.id == id_).values(upload=location, at=self._now())
        with self._database.writing() as session:
            session.execute(going_on)

    def end(self, id_: str) -> None:
        """Take an intent away, whoever is at it; nothing when it is not there."""
        with self._database.writing() as session:
            session.execute(delete(StoredIntent).where(StoredIntent.id == id_))

    def claim(self, intent: StoredIntent) -> bool:
        """Become the one that is at an intent; False when it is gone, or somebody else is by now.

        Whoever was at it cannot fulfil it any more.
        """
        with self._database.writing() as session:
            mine = (
                update(StoredIntent)
                .where(
                    StoredIntent.id == intent.id, StoredIntent.gate == intent.gate, StoredIntent.at == intent.at
                )
                .values(gate=self.gate, at=self._now())
            )
            return _changed(session, mine) == 1

    def all(self) -> Sequence[StoredIntent]:
        """Every intent, of every gate, oldest first."""
        query = select(StoredIntent).order_by(StoredIntent.at, StoredIntent.id)
        with self._database.reading() as session:
            return session.scalars(query).all()

    def is_under_way(self, intent: StoredIntent) -> bool:
        """Whether this process is at it."""
        with self._lock:
            return intent.id in self._active

    def begin(self, repository: str, manifest: Digest, tag: str | None) -> str:
        """Write down that a manifest is about to change. When this returns, it is on disk."""
        id_ = secrets.token_hex(16)
        with self._lock:
            self._active.add(id_)
        self._add(StoredIntent(id=id_, repository=repository, manifest=manifest, tag=tag))
        return id_

    def _add(self, intent: StoredIntent) -> None:
        intent.gate, intent.at = self.gate, self._now()
        with self._database.writing() as session:
            session.add(intent)


class Work:
    """The intents of one piece of work, by id."""

    def __init__(self, intents: Intents) -> None:
        self._intents = intents
        self.ids: list[str] = []

    def begin(self, repository: str, manifest: Digest, tag: str | None = None) -> None:
        """Write down that a manifest is about to be put, at `tag` where one is given, or deleted."""
        self.ids.append(self._intents.begin(repository, manifest, tag))

    def end(self) -> None:
        """All of it is done, and the database says so already."""
        for id_ in self.ids:
            self._intents.end(id_)


def _changed(session: Session, statement: object) -> int:
    result = session.execute(statement)  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)  # noqa: S101 - what UPDATE and DELETE give
    return result.rowcount
