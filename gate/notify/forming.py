"""From notices to messages: those of one kind for one owner wait for each other and become one message a cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select

from gate.database import Database
from gate.notify.events import Topic
from gate.notify.gathering import MOST
from gate.notify.grouping import Notice, by_cause
from gate.notify.messages import message
from gate.notify.notify_file import NotifyFile, Sink
from gate.notify.outbox import room
from gate.notify.tables import StoredNotice

LONGEST: Final = 10
"""Windows that the first of a group waits, though more keep coming."""


class Forming:
    """Makes messages of notices, each notice in one message. `source` is the URL of the gate."""

    def __init__(self, database: Database, source: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._source = source
        self._now = now

    def form(self, file: NotifyFile) -> int:
        """Make the messages that are ripe, and return how many that were."""
        return sum(
            self._group(sink, Topic(topic), owner) for sink in file.sinks for topic, owner in self._ripe(sink)
        )

    def _ripe(self, sink: Sink) -> Sequence[tuple[str, str | None]]:
        """Kinds and owners of what has waited long enough: a window in which nothing came, or many windows."""
        one = StoredNotice
        query = (
            select(one.topic, one.owner, func.min(one.at), func.max(one.at), func.count())
            .where(one.sink == sink.name)
            .group_by(one.topic, one.owner)
        )
        now, window = self._now(), timedelta(seconds=sink.window)
        with self._database.reading() as session:
            found = session.execute(query).all()
        full = sum(row[-1] for row in found) >= MOST
        return [
            (topic, owner)
            for topic, owner, first, last, _ in found
            if full or not now - window < last <= now or first <= now - LONGEST * window
        ]

    def _group(self, sink: Sink, topic: Topic, owner: str | None) -> int:
        query = (
            select(StoredNotice)
            .where(StoredNotice.sink == sink.name, StoredNotice.topic == topic.value, StoredNotice.owner == owner)
            .order_by(StoredNotice.at, StoredNotice.id)
        )
        with self._database.reading() as session:
            rows = session.scalars(query).all()
            most = max(0, room(session, sink.name))
        notices = [Notice.model_validate_json(row.content) for row in rows]
        groups = by_cause(notices)[:most]
        told = {(image.repository, image.digest) for group in groups for image in group.images}
        now = self._now()
        messages = [message(sink, topic, group.data(owner), now, self._source) for group in groups]
        with self._database.writing() as session:
            ids = [row.id for row, one in zip(rows, notices, strict=True) if one.name in told]
            there = sum(
                session.scalar(select(func.count()).where(StoredNotice.id.in_(part))) or 0 for part in _parts(ids)
            )
            if there != len(ids) or room(session, sink.name) < len(messages):
                return 0  # another gate was first, or the receiver takes nothing for now
            for part in _parts(ids):
                session.execute(delete(StoredNotice).where(StoredNotice.id.in_(part)))
            session.add_all(messages)
        return len(messages)


def _parts(ids: Sequence[str], size: int = 500) -> Sequence[Sequence[str]]:
    """Databases limit how many parameters a statement has."""
    return [ids[start : start + size] for start in range(0, len(ids), size)]
