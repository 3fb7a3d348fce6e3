"""What was decided of everything that can be pulled, for those who want to judge it by other policies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import func, select

from compliance.oci.digest import Digest
from gate.database import Database
from gate.paging import after_key
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.standings import StoredStanding, in_force


class Place(NamedTuple):
    """A manifest in a repository, in the order in which they are listed."""

    repository: str
    digest: Digest


class Judged:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(self) -> Sequence[str]:
        """Where anything was judged."""
        query = select(StoredManifest.repository).distinct().where(StoredManifest.kind.in_(_KINDS))
        with self._database.reading() as session:
            return session.scalars(query).all()

    def places(self, repositories: Collection[str], after: Place | None, limit: int) -> Sequence[Place]:
        """The first `limit` images and artifacts of these repositories, of those that come after one."""
        query = (
            select(StoredManifest.repository, StoredManifest.digest)
            .where(StoredManifest.kind.in_(_KINDS), StoredManifest.repository.in_(repositories))
            .order_by(StoredManifest.repository, StoredManifest.digest)
            .limit(limit)
        )
        if after is not None:
            query = query.where(after_key((StoredManifest.repository, StoredManifest.digest), after))
        with self._database.reading() as session:
            return [Place(*row) for row in session.execute(query)]

    def decision(self, place: Place) -> StoredDecision | None:
        """The newest decision on a manifest that can be pulled; None when it no longer is one."""
        query = (
            select(StoredDecision)
            .join(
                StoredManifest,
                (StoredManifest.repository == place.repository) & (StoredManifest.digest == place.digest),
            )
            .outerjoin(StoredStanding, in_force())
            .where(StoredDecision.id == func.coalesce(StoredStanding.decision, StoredManifest.decision))
        )
        with self._database.reading() as session:
            return session.scalars(query).first()


_KINDS = (Kind.IMAGE, Kind.ARTIFACT)
