"""What is to be judged again, and what was found: the work on admitted manifests that gates share.

Each gate claims some for a while, and what one has noted another does not overwrite with something older.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, exists, or_, select

from compliance.oci.digest import Digest
from compliance.policy.canonical import canonical_json, from_canonical_json
from gate.audit.entry import decided, denied_later
from gate.audit.log import AuditLog
from gate.database import Changes, Database
from gate.deadlines import Causes
from gate.schema import Kind, StoredDecision, StoredManifest, StoredStatement
from gate.standings import StoredStanding, of_manifest

AGAIN_AFTER: Final = timedelta(hours=6)
"""How long a judgement holds while nothing it depends on changes: time may end a waiver or days of grace."""

CLAIMED_FOR: Final = timedelta(minutes=5)
"""How long a gate has for what it claims; one that was killed has not kept it for longer."""

_JUDGED: Final = (Kind.IMAGE, Kind.ARTIFACT)


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


class DueImages:
    """May be used from several threads."""

    def __init__(self, database: Database, changes: Changes, audit: AuditLog) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit

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
                    self._audit.append(session, denied_later(decision, until))
                row.decision = decision.id
            row.at, row.rules, row.admitted, row.claimed = at, rules, due.admitted.id, None
            row.until, row.causes = until, canonical_json(causes)
            return True


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
