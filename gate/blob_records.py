"""Which blobs were pushed into which repository, and under which digest the registry behind the gate has them.

A registry may know sha256 only, and stores what it takes under another digest as that. And one that deletes
nothing still has to seem to: what is not in these records does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select

from compliance.oci.digest import Digest
from gate.audit.entry import GATE, Action, Event
from gate.audit.log import AuditLog
from gate.database import Changes, Database
from gate.intents import StoredIntent
from gate.schema import StoredBlob, StoredManifest, StoredPart
from gate.standings import ended


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A blob taken out of a repository. `unused` is whether nothing else there is stored under `stored_as`."""

    stored_as: Digest
    unused: bool


class BlobRecords:
    """May be used from several threads."""

    def __init__(self, database: Database, changes: Changes, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._changes = changes

    def keep(self, repository: str, digest: Digest, stored_as: Digest, *, upload: str | None = None) -> None:
        """Remember that a blob is in a repository, by which the upload of this id has ended."""
        with self._changes.of(repository), self._database.writing() as session:
            if upload is not None:
                session.execute(delete(StoredIntent).where(StoredIntent.id == upload))
            session.merge(StoredBlob(repository=repository, digest=digest, stored_as=stored_as))

    def stored_as(
        self,
        repository: str,
        digest: Digest,
        *,
        published: bool,
        at: datetime | None = None,
    ) -> Digest | None:
        """What the registry calls a blob of this repository. `published`: only one of a readable manifest.

        Manifests that were let in by audit only do not count, nor those whose deadline has passed `at` a time.
        """
        query = select(StoredBlob.stored_as).where(
            StoredBlob.repository == repository, StoredBlob.digest == digest
        )
        if published:
            part = exists().where(StoredPart.repository == repository, StoredPart.blob == digest)
            if at is not None:
                part = part.where(~ended(StoredPart.repository, StoredPart.manifest, at))
            query = query.where(
                part.where(
                    StoredManifest.repository == repository,
                    StoredManifest.digest == StoredPart.manifest,
                    ~StoredManifest.audited,
                )
            )
        with self._database.reading() as session:
            return session.scalars(query).first()

    def all_stored_as(self, repository: str, digests: Iterable[Digest]) -> Mapping[Digest, Digest]:
        """As `stored_as` for several blobs, those that are not there left out."""
        query = select(StoredBlob.digest, StoredBlob.stored_as).where(
            StoredBlob.repository == repository, StoredBlob.digest.in_(tuple(digests))
        )
        with self._database.reading() as session:
            return {row.digest: row.stored_as for row in session.execute(query)}

    def holders(self, digest: Digest) -> tuple[str, ...]:
        """The repositories that have a blob, in the order of their names."""
        query = select(StoredBlob.repository).where(StoredBlob.digest == digest).order_by(StoredBlob.repository)
        with self._database.reading() as session:
            return tuple(session.scalars(query))

    def forget(self, repository: str, digest: Digest, *, by: str = GATE) -> Forgotten | None:
        """Take a blob out of a repository, whatever is made of it; None when it is not there."""
        with self._changes.of(repository), self._database.writing() as session:
            found = session.get(StoredBlob, (repository, digest))
            if found is None:
                return None
            session.delete(found)
            self._audit.append(session, Event(Action.BLOB_DELETED, by, repository, digest))
            others = select(StoredBlob.digest).where(
                StoredBlob.repository == repository, StoredBlob.stored_as == found.stored_as
            )
            return Forgotten(found.stored_as, unused=session.scalars(others.limit(1)).first() is None)
