"""How what was admitted stands by the rules of today: it complies, or may be pulled until a moment, or no more.

Nothing is deleted when a deadline has passed; readers look at the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    String,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, aliased, mapped_column

from compliance.oci.digest import Digest
from compliance.oci.manifest import Index, parse_manifest
from gate.database import Database
from gate.schema import Kind, StoredDecision, StoredManifest, Table


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


class Standings:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, manifest: StoredManifest) -> Standing | None:
        """How a manifest stands, an index as the worst that it names; None while it complies."""
        if manifest.kind is Kind.EVIDENCE:
            return None
        with self._database.reading() as session:
            if manifest.kind is Kind.INDEX:
                return _worst(session, manifest.repository, manifest)
            # By its key, which is cheap: pulls ask this, and nearly everything complies.
            row = session.get(StoredStanding, (manifest.repository, manifest.digest))
            if row is None or row.until is None:
                return None
            return next(iter(_found(session, manifest.repository, [manifest.digest])), None)

    def is_whole(self, manifest: StoredManifest) -> bool:
        """Whether all that a manifest names, where it is an index, is there still."""
        if manifest.kind is not Kind.INDEX:
            return True
        with self._database.reading() as session:
            named = _named(session, manifest.repository, manifest)
            there = select(func.count()).where(
                StoredManifest.repository == manifest.repository, StoredManifest.digest.in_(sorted(named))
            )
            return session.scalar(there) == len(named)

    def worst(self, repository: str, digests: Iterable[Digest]) -> Standing | None:
        """The standing among those of several manifests that ends first."""
        with self._database.reading() as session:
            return min(_found(session, repository, list(digests)), key=lambda one: one.until, default=None)


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


def _worst(session: Session, repository: str, index: StoredManifest) -> Standing | None:
    """The standing that ends first among all that an index names."""
    found = _found(session, repository, sorted(_named(session, repository, index)))
    return min(found, key=lambda one: one.until, default=None)


def _named(session: Session, repository: str, index: StoredManifest) -> set[Digest]:
    """All that an index names, and the indexes that it names."""
    seen: set[Digest] = set()
    indexes: Sequence[StoredManifest] = [index]
    while indexes:
        named: set[Digest] = set()
        for each in indexes:
            document = parse_manifest(each.raw, each.media_type)
            if isinstance(document, Index):
                named |= {entry.digest for entry in document.manifests}
        named -= seen
        seen |= named
        query = select(StoredManifest).where(
            StoredManifest.repository == repository,
            StoredManifest.digest.in_(sorted(named)),
            StoredManifest.kind == Kind.INDEX,
        )
        indexes = session.scalars(query).all()
    return seen
