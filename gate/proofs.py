"""Which images have a summary, of the gate's own, of the decision that they stand by, and which have none yet."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Verdict
from gate.database import Database
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.standings import StoredStanding, of_manifest

Name = tuple[str, Digest]
"""A repository, and the digest of an image in it."""


class Proofs:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has(self, repository: str, digest: Digest, decision: str) -> bool:
        """Whether there is a summary that tells of this decision on the image."""
        query = select(StoredManifest.digest).where(
            StoredManifest.repository == repository,
            StoredManifest.subject == digest,
            StoredManifest.kind == Kind.EVIDENCE,
            StoredManifest.decision == decision,
        )
        with self._database.reading() as session:
            return session.scalars(query.limit(1)).first() is not None

    def missing(self) -> Sequence[Name]:
        """The images that were admitted, not only audited, and have no summary of it."""
        query = (
            select(StoredManifest.repository, StoredManifest.digest)
            .join(StoredDecision, StoredManifest.decision == StoredDecision.id)
            .where(
                StoredManifest.kind == Kind.IMAGE,
                StoredDecision.verdict == Verdict.ADMITTED,
                StoredDecision.mode == Mode.ENFORCE,
                ~_told(StoredManifest.decision),
            )
            .order_by(StoredManifest.at)
        )
        with self._database.reading() as session:
            return [(row.repository, row.digest) for row in session.execute(query)]

    def missing_later(self) -> Sequence[Name]:
        """The images that stand otherwise than before, and whose newest later decision has no summary."""
        query = (
            select(StoredManifest.repository, StoredManifest.digest)
            .join(StoredStanding, of_manifest())
            .where(
                StoredManifest.kind == Kind.IMAGE,
                StoredStanding.decision.is_not(None),
                ~_told(StoredStanding.decision),
            )
        )
        with self._database.reading() as session:
            return [(row.repository, row.digest) for row in session.execute(query)]

    def later(
        self, repository: str, digest: Digest
    ) -> tuple[StoredManifest, StoredStanding, StoredDecision] | None:
        """An image, how it stands, and the newest later decision on it; None when there is none, or it is gone."""
        query = (
            select(StoredManifest, StoredStanding, StoredDecision)
            .join(StoredStanding, of_manifest())
            .join(StoredDecision, StoredDecision.id == StoredStanding.decision)
            .where(StoredManifest.repository == repository, StoredManifest.digest == digest)
        )
        with self._database.reading() as session:
            found = session.execute(query).first()
        return None if found is None else (found[0], found[1], found[2])


def _told(decision: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    summary = aliased(StoredManifest)
    return exists().where(
        summary.repository == StoredManifest.repository,
        summary.subject == StoredManifest.digest,
        summary.kind == Kind.EVIDENCE,
        summary.decision == decision,
    )
