"""One entry of the audit log: what it tells of, what is hashed, and where a chain of them was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Index, Integer, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from compliance.errors import InvalidInput
from compliance.instants import in_utc
from compliance.oci.digest import Digest
from compliance.strict_json import canonical
from gate.schema import StoredDecision, Table

GATE: Final = "gate"
"""The actor where it is no user, but the gate itself."""

AT_A_TIME: Final = 500
"""Entries held in memory."""

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
    """What was admitted is refused from now, or from a later time on."""
    LOGIN_REFUSED = "login-refused"
    RULES_CHANGED = "rules-changed"
    """Policies, databases, bases or keys are others; the entry pins them all, and names the policies."""
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


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain has come: its last entry. An empty one has no sequence 0, and the hash of nothing."""

    sequence: int = 0
    hash: str = BEGINNING


_UNTIL: Final = "not to be pulled from "

_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")


class StoredEntry(Table):
    """One entry. Entries are added and never changed or taken away.

    What is hashed is kept as the text that is hashed, so that whatever it is changed to can still be read.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_by_digest", "repository", "digest"),
        Index("audit_by_decision", "decision"),
    )

    sequence: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(Text)
    repository: Mapped[str | None] = mapped_column(String(255))
    digest: Mapped[str | None] = mapped_column(String(140))
    decision: Mapped[str | None] = mapped_column(String(32))
    content: Mapped[str | None] = mapped_column(String(140))
    detail: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(140))
    hash: Mapped[str] = mapped_column(String(140))

    def members(self) -> dict[str, Any]:
        """Everything that is hashed, by the names it has in exports."""
        return {
            "sequence": self.sequence,
            "at": self.at,
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

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)

    def to_json(self) -> bytes:
        """One line of an export."""
        return canonical({**self.members(), "hash": self.hash})


def in_chunks(session: Session, start: int | None = None) -> Iterator[Sequence[StoredEntry]]:
    """All entries, or those from a number on, in an order that entries appended meanwhile do not disturb."""
    query = select(StoredEntry).order_by(StoredEntry.sequence).limit(AT_A_TIME)
    more = query if start is None else query.where(StoredEntry.sequence >= start)
    while entries := session.scalars(more).all():
        more = query.where(StoredEntry.sequence > entries[-1].sequence)
        yield entries
        session.expunge_all()


def chained(last: Head, entries: Sequence[StoredEntry]) -> Iterator[tuple[int, str]]:
    """Where entries that come after `last` were changed: the number of an entry, and what is wrong with it."""
    for entry in entries:
        if entry.sequence <= last.sequence:
            yield entry.sequence, "has a number below 1"
        elif entry.sequence > last.sequence + 1:
            also = f", with all up to entry {entry.sequence - 1}" if entry.sequence > last.sequence + 2 else ""
            yield last.sequence + 1, f"is missing{also}"
        elif entry.previous != last.hash:
            yield (
                entry.sequence,
                f"follows an entry with the hash {entry.previous}, and the one there has {last.hash}",
            )
        computed = entry.computed()
        if computed != entry.hash:
            yield entry.sequence, f"was changed: what it says has the hash {computed}, and {entry.hash} is stored"
        last = entry.head


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


def denied_later(decision: StoredDecision, until: datetime) -> Event:
    """The event of an admitted image that was found not to comply; `pullable_until` reads the time again."""
    detail = f"{_UNTIL}{until.isoformat(timespec='seconds')}: {decision.line}"
    return Event(
        Action.DENIED_LATER, GATE, decision.repository, decision.digest, decision=decision.id, detail=detail
    )


def pullable_until(entry: StoredEntry) -> datetime:
    """Until when the image of such an entry may be pulled. Raises InvalidInput for an entry of another kind."""
    time, found, _ = entry.detail.removeprefix(_UNTIL).partition(": ")
    if entry.action != Action.DENIED_LATER or not found:
        raise InvalidInput(f"entry {entry.sequence} of the audit log names no time")
    return datetime.fromisoformat(time)


def moment(at: datetime) -> str:
    """A time as it is hashed: UTC, to the microsecond."""
    return in_utc(at).isoformat(timespec="microseconds")


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
                "at": moment(decision.at),
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
