"""How what was admitted stands by the rules of today: it complies, or may be pulled until a moment, or no more.

Several gates may judge the same images again: each claims some for a while, and what one has noted another does
not overwrite with something older. Nothing is deleted when a deadline has passed; readers look at the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, ForeignKey, ForeignKeyConstraint, LargeBinary, String, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, aliased, mapped_column

from compliance.oci.digest import Digest
from compliance.oci.manifest import Index, parse_manifest
from compliance.policy.canonical import canonical_json, from_canonical_json
from gate.audit.entry import GATE, Action, Event, decided
from gate.audit.log import AuditLog
from gate.database import Changes, Database
from gate.deadlines import Causes
from gate.schema import Kind, StoredDecision, StoredManifest, StoredStatement, Table

AGAIN_AFTER: Final = timedelta(hours=6)
"""How long a judgement holds while nothing it depends on changes: time may end a waiver or days of grace."""

CLAIMED_FOR: Final = timedelta(minutes=5)
"""How long a gate has for what it claims; one that was killed has not kept it for longer."""

_JUDGED: Final = (Kind.IMAGE, Kind.ARTIFACT)


class StoredStanding(Table):
    """What was found when an admitted manifest was last judged again: `at` a time, by the rules with the digest
    `rules`, which is None before the first time. `admitted` is the decision by which it was published then.

    `until` is None while it complies. `decision` is the newest later decision: what changed last, and why; None
    while nothing did. `causes` are canonical JSON. `claimed` is until when a gate is at it.
    """

    __tablename__ = "standings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["repository", "digest"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    rules: Mapped[Digest | None]
    admitted: Mapped[str] = mapped_column(String(32))
    until: Mapped[datetime | None]
    decision: Mapped[str | None] = mapped_column(ForeignKey("decisions.id"))
    causes: Mapped[bytes] = mapped_column(LargeBinary)
    claimed: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """That something no longer complies: until when it may be pulled, and the decision that says why.

    What was found to have ended when it was judged, `at` a time, has ended although a clock is set back.
    """

    until: datetime
    decision: str
    line: str
    at: datetime

    def has_ended(self, now: datetime) -> bool:
        return self.until <= max(now, self.at)


@dataclass(frozen=True, slots=True)
class Due:
    """An admitted manifest to be judged again: the decision that admitted it, and what is known since."""

    manifest: StoredManifest
    admitted: StoredDecision
    judged: datetime | None
    until: datetime | None
    causes: Causes

    def state_at(self, at: datetime, until: datetime | None) -> str:
        return "complies" if until is None else "ended" if until <= at else "warned"

    def is_news(self, until: datetime | None, causes: Causes, at: datetime) -> bool:
        """Whether this is another state than what was noted last, so that a decision has to tell of it."""
        before = "complies" if self.judged is None else self.state_at(self.judged, self.until)
        now = self.state_at(at, until)
        return before != now or (now != "complies" and (self.until, self.causes) != (until, causes))


class Standings:
    """May be used from several threads."""

    def __init__(self, database: Database, changes: Changes, audit: AuditLog) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit

    def of(self, manifest: StoredManifest) -> Standing | None:
        """How a manifest stands, an index as the worst that it names; None while it complies."""
        if manifest.kind is Kind.EVIDENCE:
            return None
        with self._database.reading() as session:
            if manifest.kind is Kind.INDEX:
                return _worst(session, manifest.repository, [manifest])
            # By its key, which is cheap: pulls ask this, and nearly everything complies.
            row = session.get(StoredStanding, (manifest.repository, manifest.digest))
            if row is None or row.until is None:
                return None
            return next(iter(_found(session, manifest.repository, [manifest.digest])), None)

    def worst(self, repository: str, digests: Iterable[Digest]) -> Standing | None:
        """The standing among those of several manifests that ends first."""
        with self._database.reading() as session:
            return min(_found(session, repository, list(digests)), key=lambda one: one.until, default=None)

    def claim(self, rules: Digest, now: datetime, limit: int) -> Sequence[Due]:
        """At most `limit` manifests that are to be judged again, by this gate alone until the claim ends.

        These are what was judged by other rules, long ago, yesterday, before it was admitted once more or evidence
        came, or before its deadline passed.
        """
        query = (
            select(StoredManifest, StoredDecision, StoredStanding)
            .join(StoredDecision, StoredDecision.id == StoredManifest.decision)
            .outerjoin(StoredStanding, of_manifest())
            .where(
                StoredManifest.kind.in_(_JUDGED),
                ~StoredManifest.audited,
                or_(
                    StoredStanding.claimed.is_(None),
                    StoredStanding.claimed <= now,
                    StoredStanding.claimed > now + CLAIMED_FOR,  # the clock was set back
                ),
                _is_due(rules, now),
            )
            .order_by(StoredManifest.at, StoredManifest.repository, StoredManifest.digest)
            .limit(limit)
        )
        with self._database.writing() as session:
            found = [(manifest, decision, standing) for manifest, decision, standing in session.execute(query)]
            for manifest, _, standing in found:
                row = standing or _new(manifest)
                row.claimed = now + CLAIMED_FOR
                session.add(row)
            return [_due(*each) for each in found]

    def note(
        self,
        due: Due,
        rules: Digest,
        at: datetime,
        *,
        until: datetime | None,
        causes: Causes,
        decision: StoredDecision | None,
    ) -> bool:
        """Keep what was found, with the decision that tells of a change. False when another has found out more."""
        manifest = due.manifest
        with self._changes.of(manifest.repository), self._database.writing() as session:
            row = session.get(StoredStanding, (manifest.repository, manifest.digest))
            if row is None or (row.rules is not None and row.at != due.judged):
                return False
            if decision is not None:
                session.add(decision)
                session.flush()
                self._audit.append(session, decided(decision))
                if until is not None:
                    self._audit.append(session, _denied_later(decision, until))
                row.decision = decision.id
            row.at, row.rules, row.admitted, row.claimed = at, rules, due.admitted.id, None
            row.until, row.causes = until, canonical_json(causes)
            return True


def ended(
    repository: InstrumentedAttribute[str], digest: InstrumentedAttribute[Digest], at: datetime
) -> ColumnElement[bool]:
    """Whether a manifest may no longer be pulled at a time, as a part of a query."""
    again = aliased(StoredManifest)
    return exists().where(
        StoredStanding.repository == repository,
        StoredStanding.digest == digest,
        has_ended(at),
        again.repository == repository,
        again.digest == digest,
        again.decision == StoredStanding.admitted,
    )


def _denied_later(decision: StoredDecision, until: datetime) -> Event:
    detail = f"not to be pulled from {until.isoformat(timespec='seconds')}: {decision.line}"
    return Event(
        Action.DENIED_LATER, GATE, decision.repository, decision.digest, decision=decision.id, detail=detail
    )


def of_manifest() -> ColumnElement[bool]:
    """Which manifest a standing is of, as a part of a query."""
    return (StoredStanding.repository == StoredManifest.repository) & (
        StoredStanding.digest == StoredManifest.digest
    )


def in_force() -> ColumnElement[bool]:
    """As `of_manifest`, but not of one that was admitted once more, which counts until it is judged again."""
    return of_manifest() & (StoredStanding.admitted == StoredManifest.decision)


def has_ended(at: datetime) -> ColumnElement[bool]:
    """As `Standing.has_ended`, as a part of a query."""
    return or_(StoredStanding.until <= at, StoredStanding.until <= StoredStanding.at)


def _is_due(rules: Digest, now: datetime) -> ColumnElement[bool]:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return or_(
        StoredStanding.rules.is_(None),
        StoredStanding.rules != rules,
        StoredStanding.at < max(midnight, now - AGAIN_AFTER),
        StoredStanding.admitted != StoredManifest.decision,
        (StoredStanding.at < StoredStanding.until) & (StoredStanding.until <= now),
        exists().where(StoredStatement.subject == StoredManifest.digest, StoredStatement.at > StoredStanding.at),
    )


def _new(manifest: StoredManifest) -> StoredStanding:
    return StoredStanding(
        repository=manifest.repository,
        digest=manifest.digest,
        at=manifest.at,
        rules=None,
        admitted=manifest.decision or "",
        until=None,
        causes=canonical_json(Causes()),
    )


def _due(manifest: StoredManifest, decision: StoredDecision, standing: StoredStanding | None) -> Due:
    if standing is None or standing.rules is None:
        return Due(manifest, decision, None, None, Causes())
    return Due(manifest, decision, standing.at, standing.until, from_canonical_json(standing.causes, Causes))


def _found(session: Session, repository: str, digests: Sequence[Digest]) -> list[Standing]:
    """How these stand that do not comply."""
    query = (
        select(StoredStanding.until, StoredDecision.id, StoredDecision.line, StoredStanding.at)
        .join(StoredDecision, StoredDecision.id == StoredStanding.decision)
        .join(StoredManifest, in_force())
        .where(
            StoredStanding.repository == repository,
            StoredStanding.digest.in_(digests),
            StoredStanding.until.is_not(None),
        )
    )
    return [Standing(until, id_, line, at) for until, id_, line, at in session.execute(query) if until is not None]


def _worst(session: Session, repository: str, indexes: Sequence[StoredManifest]) -> Standing | None:
    """The standing that ends first among all that these indexes name, and the indexes that they name."""
    found: list[Standing] = []
    seen: set[Digest] = set()
    while indexes:
        named: set[Digest] = set()
        for each in indexes:
            document = parse_manifest(each.raw, each.media_type)
            if isinstance(document, Index):
                named |= {entry.digest for entry in document.manifests}
        named -= seen
        seen |= named
        found += _found(session, repository, sorted(named))
        query = select(StoredManifest).where(
            StoredManifest.repository == repository,
            StoredManifest.digest.in_(sorted(named)),
            StoredManifest.kind == Kind.INDEX,
        )
        indexes = session.scalars(query).all()
    return min(found, key=lambda one: one.until, default=None)
