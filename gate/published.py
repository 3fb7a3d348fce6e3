"""Everything that may be read, a piece at a time, for who holds it against the registry or against other rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import func, select, tuple_

from compliance.oci.digest import Digest
from gate.database import Database
from gate.paging import after_key
from gate.schema import Kind, StoredBlob, StoredDecision, StoredManifest, StoredPart, StoredTag
from gate.standings import StoredStanding, in_force

_PAGE: Final = 500
_JUDGED: Final = (Kind.IMAGE, Kind.ARTIFACT)


class Place(NamedTuple):
    """A manifest in a repository, in the order in which they are listed."""

    repository: str
    digest: Digest


class Published:
    """May be used from several threads. What is published or deleted meanwhile may be seen or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def kept_by(self, repository: str, kept_as: Digest) -> StoredManifest | None:
        """The readable manifest for whose sake the registry behind the gate has one of this digest."""
        query = select(StoredManifest).where(
            StoredManifest.repository == repository, StoredManifest.kept_as == kept_as
        )
        with self._database.reading() as session:
            return session.scalars(query).first()

    def kept(self) -> Iterator[tuple[str, Digest]]:
        """Repository and digest of each manifest that the registry is to keep."""
        last = ("", "")
        while True:
            at = tuple_(StoredManifest.repository, StoredManifest.digest)
            query = (
                select(StoredManifest.repository, StoredManifest.digest, StoredManifest.kept_as)
                .where(at > last)
                .order_by(StoredManifest.repository, StoredManifest.digest)
                .limit(_PAGE)
            )
            with self._database.reading() as session:
                page = session.execute(query).all()
            yield from ((row.repository, row.kept_as) for row in page if row.kept_as is not None)
            if len(page) < _PAGE:
                return
            last = (page[-1].repository, page[-1].digest)

    def tags(self) -> Iterator[tuple[str, str]]:
        """Repository and tag of each name."""
        last = ("", "")
        while True:
            at = tuple_(StoredTag.repository, StoredTag.tag)
            query = select(StoredTag).where(at > last).order_by(StoredTag.repository, StoredTag.tag).limit(_PAGE)
            with self._database.reading() as session:
                page = session.scalars(query).all()
            yield from ((row.repository, row.tag) for row in page)
            if len(page) < _PAGE:
                return
            last = (page[-1].repository, page[-1].tag)

    def blobs(self, manifest: StoredManifest) -> tuple[Digest, ...]:
        """What the registry calls the blobs of a readable manifest."""
        query = (
            select(StoredBlob.stored_as)
            .join(StoredPart, StoredPart.blob == StoredBlob.digest)
            .where(StoredBlob.repository == StoredPart.repository)
            .where(StoredPart.repository == manifest.repository, StoredPart.manifest == manifest.digest)
        )
        with self._database.reading() as session:
            return tuple(session.scalars(query))

    def repositories(self) -> Sequence[str]:
        """Where anything was judged."""
        query = select(StoredManifest.repository).distinct().where(StoredManifest.kind.in_(_JUDGED))
        with self._database.reading() as session:
            return session.scalars(query).all()

    def places(self, repositories: Collection[str], after: Place | None, limit: int) -> Sequence[Place]:
        """The first `limit` images and artifacts of these repositories, of those that come after one."""
        query = (
            select(StoredManifest.repository, StoredManifest.digest)
            .where(StoredManifest.kind.in_(_JUDGED), StoredManifest.repository.in_(repositories))
            .order_by(StoredManifest.repository, StoredManifest.digest)
            .limit(limit)
        )
        if after is not None:
            query = query.where(after_key((StoredManifest.repository, StoredManifest.digest), after))
        with self._database.reading() as session:
            return [Place(*row) for row in session.execute(query)]

    def count(self, repositories: Collection[str]) -> int:
        """How many images and artifacts these repositories have."""
        query = select(func.count()).where(
            StoredManifest.kind.in_(_JUDGED), StoredManifest.repository.in_(repositories)
        )
        with self._database.reading() as session:
            return session.scalar(query) or 0

    def decision(self, place: Place) -> StoredDecision | None:
        """The newest decision on a manifest that can be pulled; None when it no longer is one."""
        # Asked for in two steps, since SQLite would look through all decisions for one whose id is worked out.
        newest = (
            select(func.coalesce(StoredStanding.decision, StoredManifest.decision))
            .select_from(StoredManifest)
            .outerjoin(StoredStanding, in_force())
            .where(StoredManifest.repository == place.repository, StoredManifest.digest == place.digest)
        )
        with self._database.reading() as session:
            id_ = session.scalars(newest).first()
            return None if id_ is None else session.get(StoredDecision, id_)
