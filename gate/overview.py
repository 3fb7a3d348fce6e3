"""What somebody who looks after many images wants to see first: what ends soon, and how pushes went lately.

`visible` is the repositories that whoever asks may see; None is all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, select

from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Verdict
from gate.database import Database
from gate.schema import StoredDecision, StoredManifest
from gate.standings import StoredStanding

Outcome = tuple[Verdict, Mode]


@dataclass(frozen=True, slots=True)
class Ending:
    """An image that may be pulled until a moment, and the decision that says why."""

    repository: str
    digest: Digest
    until: datetime
    decision: str
    line: str


class Overview:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pushes(self, visible: Collection[str] | None, since: datetime) -> Mapping[date, Mapping[Outcome, int]]:
        """How many pushes were judged, by day (UTC), verdict and whether that was enforced."""
        decision = StoredDecision
        day = func.date(decision.at)
        query = (
            select(day, decision.verdict, decision.mode, func.count())
            .where(decision.at >= since, ~decision.later)
            .group_by(day, decision.verdict, decision.mode)
        )
        if visible is not None:
            query = query.where(decision.repository.in_(visible))
        found: dict[date, dict[Outcome, int]] = {}
        with self._database.reading() as session:
            for at, verdict, mode, count in session.execute(query):
                # SQLite has no dates, and answers with text.
                found.setdefault(date.fromisoformat(str(at)), {})[verdict, mode] = count
        return found

    def ending(self, visible: Collection[str] | None, now: datetime, limit: int) -> Sequence[Ending]:
        """What no longer complies and may still be pulled, what ends first before the others."""
        standing, manifest, decision = StoredStanding, StoredManifest, StoredDecision
        query = (
            select(standing.repository, standing.digest, standing.until, decision.id, decision.line)
            .join(
                manifest,
                and_(
                    manifest.repository == standing.repository,
                    manifest.digest == standing.digest,
                    manifest.decision == standing.admitted,
                    ~manifest.audited,
                ),
            )
            .join(decision, decision.id == standing.decision)
            .where(standing.until > now)
            .order_by(standing.until, standing.repository, standing.digest)
            .limit(limit)
        )
        if visible is not None:
            query = query.where(standing.repository.in_(visible))
        with self._database.reading() as session:
            return [
                Ending(repository, digest, until, id_, line)
                for repository, digest, until, id_, line in session.execute(query)
                if until is not None
            ]
