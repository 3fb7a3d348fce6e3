"""What is remembered of telling people, in the gate's database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gate.schema import Table


class StoredReader(Table):
    """Up to which entry a sink has been told of the audit log, and when it was first there."""

    __tablename__ = "notify_readers"

    sink: Mapped[str] = mapped_column(String(63), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger())
    since: Mapped[datetime]


class StoredTold(Table):
    """That a sink was told of a date that came near: `key` names the event, its subject and the date."""

    __tablename__ = "notify_told"

    sink: Mapped[str] = mapped_column(String(63), primary_key=True)
    key: Mapped[str] = mapped_column(String(512), primary_key=True)
    at: Mapped[datetime]


class StoredNotice(Table):
    """Something about one image that a sink is to be told, and that waits for others of the same cause."""

    __tablename__ = "notify_notices"
    __table_args__ = (Index("notify_notices_by_group", "sink", "topic", "owner", "at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    sink: Mapped[str] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(32))
    owner: Mapped[str | None] = mapped_column(String(255))
    at: Mapped[datetime]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON."""


class StoredDelivery(Table):
    """A message that is to be sent, byte for byte. It is deleted when it was taken.

    `claimed` is until when a gate is at it, `due` when it may be tried next, `failed` when it was given up on.
    """

    __tablename__ = "notify_deliveries"
    __table_args__ = (Index("notify_deliveries_by_sink", "sink", "failed", "due"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    sink: Mapped[str] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(32))
    about: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    media_type: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    due: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    claimed: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(Text, default="")
    failed: Mapped[datetime | None]
