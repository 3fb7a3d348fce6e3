"""Everything that may be read, a piece at a time, for who holds it against the registry behind the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select, tuple_

from compliance.oci.digest import Digest
from gate.database import Database
from gate.schema import StoredBlob, StoredManifest, StoredPart, StoredTag

_PAGE: Final = 500


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
