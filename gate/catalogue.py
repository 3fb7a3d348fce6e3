"""Questions about everything the gate knows, which readers of the API and of the metrics ask.

`visible` is the repositories that whoever asks may see; None is all of them. Pages are by key, so that what is
pushed meanwhile moves nothing from one page to another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Verdict
from gate.database import Database
from gate.index_entries import is_broken
from gate.paging import after_key
from gate.schema import Kind, StoredDecision, StoredManifest, StoredStatement, StoredTag
from gate.standings import StoredStanding, has_ended, in_force

Key = tuple[str, Digest]
"""A repository, and a digest in it."""


class Availability(StrEnum):
    """Whether something that was judged may be pulled now.

    What is `ending` no longer complies, and may be pulled until its deadline; `ended` is past that. `audited` is
    let in by audit only. `absent` was refused, or deleted, or is an index that names something which was deleted.
    An index has no deadline of its own: see its images.
    """

    PULLABLE = "pullable"
    ENDING = "ending"
    ENDED = "ended"
    AUDITED = "audited"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Judged:
    """Something that was pushed, and the newest decision about it. What is `absent` has no kind.

    `pullable_until` is its deadline, where it has one.
    """

    repository: str
    digest: Digest
    kind: Kind | None
    standing: Availability
    pullable_until: datetime | None
    decision: str
    verdict: Verdict
    mode: Mode
    decided_at: datetime
    line: str
    pushed_by: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """One decision of many."""

    id: str
    repository: str
    digest: Digest
    tag: str | None
    pushed_by: str
    at: datetime
    verdict: Verdict
    mode: Mode
    line: str


class Catalogue:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(
        self, now: datetime, visible: Collection[str] | None = None
    ) -> Mapping[tuple[Kind, Availability], int]:
        """How many manifests are published, by kind and by whether they may be pulled now."""
        available = _available(now).label("available")
        query = (
            select(StoredManifest.kind, available, func.count())
            .outerjoin(StoredStanding, in_force())
            .group_by(StoredManifest.kind, available)
        )
        if visible is not None:
            query = query.where(StoredManifest.repository.in_(visible))
        with self._database.reading() as session:
            return {(kind, Availability(each)): count for kind, each, count in session.execute(query)}

    def repositories(self) -> Sequence[str]:
        """Every repository that anything was ever pushed to."""
        with self._database.reading() as session:
            return session.scalars(select(StoredDecision.repository).distinct()).all()

    def judged(
        self,
        visible: Collection[str] | None,
        now: datetime,
        *,
        verdict: Verdict | None = None,
        standing: Availability | None = None,
        key: Key | None = None,
        after: Key | None = None,
        limit: int = 1,
    ) -> Sequence[Judged]:
        """What was pushed, by repository and digest: the one with this `key`, or a page of those after another."""
        newest = StoredDecision
        query = _judged(newest, now)
        if visible is not None:
            query = query.where(newest.repository.in_(visible))
        if verdict is not None:
            query = query.where(newest.verdict == verdict)
        if standing is not None:
            query = query.where(_available(now) == standing.value)
        if key is not None:
            query = query.where(newest.repository == key[0], newest.digest == key[1])
        if after is not None:
            query = query.where(after_key((newest.repository, newest.digest), after))
        query = query.order_by(newest.repository, newest.digest).limit(limit)
        with self._database.reading() as session:
            rows = session.execute(query).all()
            named = [(row.repository, row.digest) for row in rows]
            tags: dict[Key, list[str]] = {}
            for tag in session.scalars(
                select(StoredTag)
                .where(tuple_(StoredTag.repository, StoredTag.digest).in_(named))
                .order_by(StoredTag.tag)
            ):
                tags.setdefault((tag.repository, tag.digest), []).append(tag.tag)
        return [
            Judged(
                row.repository,
                row.digest,
                row.kind,
                Availability(row.standing),
                row.until,
                row.id,
                row.verdict,
                row.mode,
                row.at,
                row.line,
                row.user,
                tuple(tags.get((row.repository, row.digest), ())),
            )
            for row in rows
        ]

    def taken(
        self,
        visible: Collection[str] | None,
        *,
        key: Key | None = None,
        verdict: Verdict | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Taken]:
        """Decisions, newest first: those on one image, or all; a page of those before another."""
        decision = StoredDecision
        query = select(
            decision.id,
            decision.repository,
            decision.digest,
            decision.tag,
            decision.user,
            decision.at,
            decision.verdict,
            decision.mode,
            decision.line,
        )
        if visible is not None:
            query = query.where(decision.repository.in_(visible))
        if key is not None:
            query = query.where(decision.repository == key[0], decision.digest == key[1])
        if verdict is not None:
            query = query.where(decision.verdict == verdict)
        if before is not None:
            at, id_ = before
            query = query.where(or_(decision.at < at, and_(decision.at == at, decision.id < id_)))
        query = query.order_by(decision.at.desc(), decision.id.desc()).limit(limit)
        with self._database.reading() as session:
            return [Taken(*row) for row in session.execute(query)]

    def statements(self, subjects: Collection[Digest]) -> Sequence[tuple[str, Digest]]:
        """Type and digest of each signed bundle about any of these digests, newest first."""
        query = (
            select(StoredStatement.predicate_type, StoredStatement.bundle_digest)
            .where(StoredStatement.subject.in_(tuple(subjects)))
            .order_by(StoredStatement.at.desc(), StoredStatement.bundle_digest)
        )
        with self._database.reading() as session:
            return list(dict.fromkeys((type_, digest) for type_, digest in session.execute(query)))


def _judged(newest: type[StoredDecision], now: datetime) -> Select[*tuple[Any, ...]]:
    """The newest decision of each image, and whether that may be read."""
    other = aliased(StoredDecision)
    return (
        select(
            newest.id,
            newest.repository,
            newest.digest,
            newest.at,
            newest.verdict,
            newest.mode,
            newest.line,
            newest.user,
            StoredManifest.kind,
            StoredStanding.until,
            _available(now).label("standing"),
        )
        .outerjoin(
            StoredManifest,
            and_(StoredManifest.repository == newest.repository, StoredManifest.digest == newest.digest),
        )
        .outerjoin(StoredStanding, in_force())
        .where(
            ~exists().where(
                other.repository == newest.repository,
                other.digest == newest.digest,
                or_(other.at > newest.at, and_(other.at == newest.at, other.id > newest.id)),
            )
        )
    )


def _available(now: datetime) -> ColumnElement[str]:
    return case(
        (StoredManifest.digest.is_(None), Availability.ABSENT.value),
        (StoredManifest.audited, Availability.AUDITED.value),
        (is_broken(), Availability.ABSENT.value),
        (has_ended(now), Availability.ENDED.value),
        (StoredStanding.until.is_not(None), Availability.ENDING.value),
        else_=Availability.PULLABLE.value,
    )
