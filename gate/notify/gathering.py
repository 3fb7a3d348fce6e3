"""From the audit log to what each sink is to be told: a cursor for each sink, moved in the transaction that keeps
what was read. Two gates read the same; the one that is first to write has done it, and the other has not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from gate.audit.log import head
from gate.database import Database
from gate.notify.backoff import GIVEN_UP_AFTER
from gate.notify.happenings import Happening, happenings
from gate.notify.notify_file import NotifyFile, Sink
from gate.notify.tables import StoredNotice, StoredReader

AT_A_TIME: Final = 500
"""Entries of the audit log that are read together."""

MOST: Final = 10_000
"""Notices that may wait for one sink. The log is read no further meanwhile."""


class Gathering:
    """Reads the audit log for the sinks of a notify file. `root` is where people read pages."""

    def __init__(self, database: Database, root: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._root = root
        self._now = now

    def gather(self, file: NotifyFile) -> int:
        """Keep what is new for each sink, and return how many notices that were.

        A sink that was never there before is told of what happens from now on.
        """
        read: dict[tuple[int, int], Sequence[Happening]] = {}
        return sum(self._for(sink, file, read) for sink in file.sinks)

    def _for(self, sink: Sink, file: NotifyFile, read: dict[tuple[int, int], Sequence[Happening]]) -> int:
        with self._database.reading() as session:
            reader = session.get(StoredReader, sink.name)
            last = head(session).sequence
            if reader is not None:
                waiting = session.scalar(select(func.count()).where(StoredNotice.sink == sink.name)) or 0
                if reader.sequence >= last or waiting >= MOST:
                    return 0
                span = reader.sequence, min(last, reader.sequence + AT_A_TIME)
                if span not in read:
                    read[span] = [found for _, found in happenings(session, *span, self._root)]
        if reader is None:
            self._begin(sink, last)
            return 0
        return self._keep(sink, span, [row for one in read[span] if (row := self._notice(sink, file, one))])

    def _notice(self, sink: Sink, file: NotifyFile, found: Happening) -> StoredNotice | None:
        owner = file.owner_of(found.repository, found.labelled)
        now = self._now()
        too_old = found.at <= now - GIVEN_UP_AFTER
        if too_old or not sink.covers(found.repository) or not sink.wants(found.topic, owner):
            return None
        return StoredNotice(
            id=secrets.token_hex(16),
            sink=sink.name,
            topic=found.topic.value,
            owner=owner,
            at=now,
            content=found.notice.model_dump_json().encode(),
        )

    def _begin(self, sink: Sink, sequence: int) -> None:
        with self._database.writing() as session:
            if session.get(StoredReader, sink.name) is None:
                session.add(StoredReader(sink=sink.name, sequence=sequence, since=self._now()))

    def _keep(self, sink: Sink, span: tuple[int, int], notices: Sequence[StoredNotice]) -> int:
        with self._database.writing() as session:
            reader = session.get(StoredReader, sink.name)
            if reader is None or reader.sequence != span[0]:
                return 0  # another gate was first
            reader.sequence = span[1]
            session.add_all(notices)
            return len(notices)
