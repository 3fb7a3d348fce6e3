"""What the gate remembers, in SQL: decisions, readable manifests, tags, and signed evidence.

A decision is committed, and on disk, before its manifest goes anywhere; a manifest exists for readers
from the one transaction that also points its tag. A gate that is killed between the two admits nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import URL, ColumnElement, delete, select

from compliance.oci.digest import Digest
from gate.audit.entry import GATE, Action, Event, decided
from gate.audit.log import AuditLog
from gate.blob_records import BlobRecords
from gate.catalogue import Catalogue
from gate.clock import utc_now
from gate.contents import Contents
from gate.database import Changes, Database
from gate.due import DueImages
from gate.identity.robots import Robots
from gate.intents import Intents, fulfil
from gate.overview import Overview
from gate.proofs import Proofs
from gate.published import Published
from gate.schema import (
    StoredBlob,
    StoredDecision,
    StoredManifest,
    StoredPart,
    StoredSecret,
    StoredStatement,
    StoredTag,
)
from gate.sightings import SharedSightings
from gate.standings import Standings

SECRET_BYTES: Final = 32


class Store:
    """One database: a file, or a URL. For several threads. Raises Unavailable when it cannot be used."""

    def __init__(self, where: Path | URL, now: Callable[[], datetime] = utc_now) -> None:
        self._database = Database(where)
        self._changes = Changes()
        self.audit = AuditLog(self._database, now)
        self.blobs = BlobRecords(self._database, self._changes, self.audit)
        self.robots = Robots(self._database, self.audit, now)
        self.standings = Standings(self._database)
        self.due = DueImages(self._database, self._changes, self.audit)
        self.sightings = SharedSightings(self._database)
        self.catalogue = Catalogue(self._database)
        self.published = Published(self._database)
        self.proofs = Proofs(self._database)
        self.contents = Contents(self._database)
        self.overview = Overview(self._database)

    @property
    def database(self) -> Database:
        return self._database

    def close(self) -> None:
        self._database.close()

    def intents(self, gate: str, now: Callable[[], datetime]) -> Intents:
        """What the gate of this name is about to do in the registry."""
        return Intents(self._database, gate, now)

    def turn(self, repository: str) -> AbstractContextManager[None]:
        """Keep other gates on this database from changing what is published in a repository."""
        return self._database.turn(repository)

    def changes(self, repository: str) -> int:
        """How often this process has changed what may be read of a repository."""
        return self._changes.count(repository)

    def record(self, decision: StoredDecision) -> None:
        """Keep a decision. When this returns, it is on disk."""
        with self._database.writing() as session:
            session.add(decision)
            self.audit.append(session, decided(decision))

    def decision(self, id_: str) -> StoredDecision | None:
        with self._database.reading() as session:
            return session.get(StoredDecision, id_)

    def latest_decision(self, repository: str, digest: Digest) -> StoredDecision | None:
        """The newest decision on this digest in this repository."""
        return self._newest(StoredDecision.repository == repository, StoredDecision.digest == digest)

    def latest_refusal(self, repository: str, target: str) -> StoredDecision | None:
        """Why a tag or digest is not there: the newest decision about it, unless it let in."""
        asked = StoredDecision.digest == Digest(target) if ":" in target else StoredDecision.tag == target
        found = self._newest(StoredDecision.repository == repository, asked)
        return None if found is None or found.lets_in else found

    def publish(
        self,
        manifest: StoredManifest,
        blobs: Iterable[Digest],
        tag: str | None,
        statements: Iterable[StoredStatement] = (),
        *,
        by: str = GATE,
        fulfils: tuple[str, Collection[str]] = ("", ()),
    ) -> None:
        """Make a manifest readable, with its blobs, and point `tag` at it. All of it or nothing.

        `statements` are what the manifest says, where it is evidence. `by` is who pushed it. `fulfils` is a gate
        and its intents, all of which must still be there.
        """
        with self._changes.of(manifest.repository), self._database.writing() as session:
            fulfil(session, *fulfils)
            session.merge(manifest)
            session.flush()
            for blob in set(blobs):
                session.merge(StoredPart(repository=manifest.repository, manifest=manifest.digest, blob=blob))
            if tag is not None:
                session.merge(StoredTag(repository=manifest.repository, tag=tag, digest=manifest.digest))
            for statement in statements:
                session.merge(statement)
            self.audit.append(session, _of_manifest(Action.PUBLISHED, manifest, by, tag or ""))

    def unpublish(self, repository: str, digest: Digest, *, by: str = GATE) -> StoredManifest | None:
        """Make a manifest unreadable, with its tags, and return what it was. What it says as evidence stays."""
        with self._changes.of(repository), self._database.writing() as session:
            found = session.get(StoredManifest, (repository, digest))
            if found is not None:
                session.execute(
                    delete(StoredTag).where(StoredTag.repository == repository, StoredTag.digest == digest)
                )
                session.delete(found)  # its parts go with it
                self.audit.append(session, _of_manifest(Action.DELETED, found, by))
            return found

    def untag(self, repository: str, tag: str, *, by: str = GATE) -> bool:
        """Take a name away; False when there is no such tag."""
        with self._changes.of(repository), self._database.writing() as session:
            found = session.get(StoredTag, (repository, tag))
            if found is not None:
                session.delete(found)
                self.audit.append(session, Event(Action.UNTAGGED, by, repository, found.digest, detail=tag))
            return found is not None

    def manifest(self, repository: str, target: str) -> StoredManifest | None:
        """The readable manifest behind a tag or digest."""
        with self._database.reading() as session:
            if ":" in target:
                return session.get(StoredManifest, (repository, Digest(target)))
            tag = session.get(StoredTag, (repository, target))
            return None if tag is None else session.get(StoredManifest, (repository, tag.digest))

    def kept(self, repository: str, digests: Iterable[Digest], *, audited: bool) -> Mapping[Digest, Digest | None]:
        """Those of the manifests that may be read, and what the registry behind the gate has in their place.

        `audited` is whether those count that were let in by audit only.
        """
        query = select(StoredManifest.digest, StoredManifest.kept_as).where(
            StoredManifest.repository == repository, StoredManifest.digest.in_(tuple(digests))
        )
        if not audited:
            query = query.where(~StoredManifest.audited)
        with self._database.reading() as session:
            return {row.digest: row.kept_as for row in session.execute(query)}

    def knows(self, repository: str) -> bool:
        """Whether there is anything in a repository."""
        with self._database.reading() as session:
            return any(
                session.scalars(select(table.repository).where(table.repository == repository).limit(1)).first()
                for table in (StoredManifest, StoredBlob)
            )

    def tags(
        self, repository: str, *, after: str = "", limit: int | None = None, audited: bool = False
    ) -> Sequence[str]:
        """Tags in the order of their bytes, those after `after`, at most `limit`.

        `audited` is whether those count that were let in by audit only.
        """
        query = (
            select(StoredTag.tag)
            .where(StoredTag.repository == repository, StoredTag.tag > after)
            .order_by(StoredTag.tag)
            .limit(limit)
        )
        if not audited:
            query = query.join(
                StoredManifest,
                (StoredManifest.repository == repository) & (StoredManifest.digest == StoredTag.digest),
            ).where(~StoredManifest.audited)
        with self._database.reading() as session:
            return session.scalars(query).all()

    def referrers(self, repository: str, subject: Digest, *, audited: bool = False) -> Sequence[StoredManifest]:
        """The readable manifests that refer to `subject`, oldest first; `audited` as for tags."""
        query = (
            select(StoredManifest)
            .where(StoredManifest.repository == repository, StoredManifest.subject == subject)
            .order_by(StoredManifest.at, StoredManifest.digest)
        )
        if not audited:
            query = query.where(~StoredManifest.audited)
        with self._database.reading() as session:
            return session.scalars(query).all()

    def statements(self, subjects: Iterable[Digest]) -> Sequence[StoredStatement]:
        """The bundles about any of these digests, newest first."""
        query = (
            select(StoredStatement)
            .where(StoredStatement.subject.in_(tuple(subjects)))
            .order_by(StoredStatement.at.desc(), StoredStatement.bundle_digest)
        )
        with self._database.reading() as session:
            return session.scalars(query).all()

    def secret(self, name: str) -> bytes:
        """Random bytes made when they are first asked for: the same for every gate on this database."""
        with self._database.reading() as session:
            found = session.get(StoredSecret, name)
        if found is None:
            with self._database.writing() as session:
                found = session.merge(
                    session.get(StoredSecret, name)
                    or StoredSecret(name=name, value=secrets.token_bytes(SECRET_BYTES))
                )
        return found.value

    def _newest(self, *conditions: ColumnElement[bool]) -> StoredDecision | None:
        query = select(StoredDecision).where(*conditions).order_by(StoredDecision.at.desc()).limit(1)
        with self._database.reading() as session:
            return session.scalars(query).first()


def _of_manifest(action: Action, manifest: StoredManifest, by: str, detail: str = "") -> Event:
    return Event(action, by, manifest.repository, manifest.digest, manifest.decision, detail=detail)
