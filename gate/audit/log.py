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

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from compliance.oci.digest import Digest
from compliance.policy.canonical import in_utc
from compliance.strict_json import canonical
from gate.database import Database, is_writing
from gate.schema import StoredDecision, Table

GATE: Final = "gate"
"""The actor where it is no user, but the gate itself."""

BEGINNING: Final = Digest.of(b"")
"""What the first entry names as the one before."""


class Action(StrEnum):
    """What an entry tells of. Every other table that matters adds its own here."""

    DECIDED = "decided"
    """A push was judged; the entry pins the stored decision."""
    DECIDED_AGAIN = "decided-again"
    """A push was answered by a decision taken before."""
    PUBLISHED = "published"
    DELETED = "deleted"
    """A manifest is not readable any more."""
    UNTAGGED = "untagged"
    BLOB_DELETED = "blob-deleted"
    DENIED_LATER = "denied-later"
    """What was admitted is refused from now on."""
    LOGIN_REFUSED = "login-refused"
    RULES_CHANGED = "rules-changed"
    ROBOT_CREATED = "robot-created"
    ROBOT_CHANGED = "robot-changed"
    ROBOT_REMOVED = "robot-removed"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, to which manifest or blob, by which decision. `actor` is who made it happen.

    `content` pins what is stored elsewhere: a changed decision is found by the entry that tells of it. `detail`
    is for people: a tag, a name, what the client was told. No secrets.
    """

    action: Action
    actor: str
    repository: str | None = None
    digest: Digest | None = None
    decision: str | None = None
    content: Digest | None = None
    detail: str = ""


class StoredEntry(Table):
    """One entry. Entries are added and never changed or taken away."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(Text)
    repository: Mapped[str | None] = mapped_column(String(255))
    digest: Mapped[Digest | None]
    decision: Mapped[str | None] = mapped_column(String(32))
    content: Mapped[Digest | None]
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[Digest]
    hash: Mapped[Digest]

    def members(self) -> dict[str, Any]:
        """Everything that is hashed, by the names it has in exports."""
        return {
            "sequence": self.sequence,
            "at": in_utc(self.at).isoformat(timespec="microseconds"),
            "action": self.action,
            "actor": self.actor,
            "repository": self.repository,
            "digest": self.digest,
            "decision": self.decision,
            "content": self.content,
            "detail": self.detail,
            "previous": self.previous,
        }

    def computed(self) -> Digest:
        """The hash that its members have now."""
        return Digest.of(canonical(self.members()))

    def to_json(self) -> bytes:
        """One line of an export."""
        return canonical({**self.members(), "hash": self.hash})


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: its last entry. An empty one has no sequence 0, and the hash of nothing."""

    sequence: int = 0
    hash: Digest = BEGINNING


class AuditLog:
    """The audit log of one database. May be used from several threads. `now` is what entries are dated by."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def append(self, session: Session, event: Event) -> int:
        """Add an entry to a transaction of `Database.writing`, and return its number in the log.

        Raises ValueError for a session that only reads, since others could append at the same time.
        """
        if not is_writing(session):
            raise ValueError("the audit log is appended to within Database.writing() only")
        before = head(session)
        entry = StoredEntry(
            sequence=before.sequence + 1,
            at=self._now(),
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
        return entry.sequence

    def record(self, event: Event) -> int:
        """Add an entry that stands for itself. On disk when this returns."""
        with self._database.writing() as session:
            return self.append(session, event)

    def head(self) -> Head:
        """The last entry."""
        with self._database.reading() as session:
            return head(session)


def head(session: Session) -> Head:
    """The last entry that this session sees."""
    query = select(StoredEntry.sequence, StoredEntry.hash).order_by(StoredEntry.sequence.desc()).limit(1)
    found = session.execute(query).first()
    return Head() if found is None else Head(found.sequence, found.hash)


def decided(decision: StoredDecision) -> Event:
    """The event of a push that was judged."""
    return Event(
        Action.DECIDED,
        actor=decision.user,
        repository=decision.repository,
        digest=decision.digest,
        decision=decision.id,
        content=fingerprint(decision),
        detail=decision.line,
    )


def fingerprint(decision: StoredDecision) -> Digest:
    """A digest over all of a stored decision, by which a change of it is found."""
    return Digest.of(
        canonical(
            {
                "id": decision.id,
                "repository": decision.repository,
                "digest": decision.digest,
                "tag": decision.tag,
                "user": decision.user,
                "at": in_utc(decision.at).isoformat(timespec="microseconds"),
                "verdict": decision.verdict,
                "line": decision.line,
                "inputs": decision.inputs,
                "policy_digest": decision.policy_digest,
                "evidence_digest": decision.evidence_digest,
                "databases": decision.databases,
                "decision": Digest.of(decision.decision),
                "evidence": Digest.of(decision.evidence),
                "mode": decision.mode,
            }
        )
    )
