"""What the gate remembers, in SQL: decisions, readable manifests, tags, and signed evidence.

A decision is committed, and on disk, before its manifest goes anywhere; a manifest exists for readers
from the one transaction that also points its tag. A gate that is killed between the two admits nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, create_engine, event, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.policy.decision import Verdict
from gate.schema import StoredBlob, StoredDecision, StoredManifest, StoredStatement, StoredTag, Table


class Store:
    """One database file. May be used from several threads. Raises Unavailable when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _as_durable)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        # A merge reads before it writes, so two at once on one row would both insert it.
        self._writing = threading.Lock()
        with self._wrapped():
            Table.metadata.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def record(self, decision: StoredDecision) -> None:
        """Keep a decision. When this returns, it is on disk."""
        with self._writing, self._session() as session:
            session.add(decision)

    def decision(self, id_: str) -> StoredDecision | None:
        with self._session() as session:
            return session.get(StoredDecision, id_)

    def latest_decision(self, repository: str, digest: Digest) -> StoredDecision | None:
        """The newest decision on this digest in this repository."""
        return self._newest(StoredDecision.repository == repository, StoredDecision.digest == digest)

    def latest_refusal(self, repository: str, target: str) -> StoredDecision | None:
        """Why a tag or digest is not there: the newest decision about it, unless it admitted."""
        asked = StoredDecision.digest == Digest(target) if ":" in target else StoredDecision.tag == target
        found = self._newest(StoredDecision.repository == repository, asked)
        return None if found is None or found.verdict is Verdict.ADMITTED else found

    def publish(
        self,
        manifest: StoredManifest,
        blobs: Iterable[Digest],
        tag: str | None,
        statements: Iterable[StoredStatement] = (),
    ) -> None:
        """Make a manifest readable, with its blobs, and point `tag` at it. All of it or nothing.

        `statements` are what the manifest says, where it is evidence.
        """
        with self._writing, self._session() as session:
            session.merge(manifest)
            for blob in set(blobs):
                session.merge(StoredBlob(repository=manifest.repository, digest=blob))
            if tag is not None:
                session.merge(StoredTag(repository=manifest.repository, tag=tag, digest=manifest.digest))
            for statement in statements:
                session.merge(statement)

    def manifest(self, repository: str, target: str) -> StoredManifest | None:
        """The readable manifest behind a tag or digest."""
        with self._session() as session:
            if ":" in target:
                return session.get(StoredManifest, (repository, Digest(target)))
            tag = session.get(StoredTag, (repository, target))
            return None if tag is None else session.get(StoredManifest, (repository, tag.digest))

    def may_read_blob(self, repository: str, digest: Digest) -> bool:
        """Whether a readable manifest of the repository is made of this blob."""
        with self._session() as session:
            return session.get(StoredBlob, (repository, digest)) is not None

    def tags(self, repository: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Tags in lexical order, those after `after`, at most `limit`."""
        query = (
            select(StoredTag.tag)
            .where(StoredTag.repository == repository, StoredTag.tag > after)
            .order_by(StoredTag.tag)
            .limit(limit)
        )
        with self._session() as session:
            return session.scalars(query).all()

    def referrers(self, repository: str, subject: Digest) -> Sequence[StoredManifest]:
        """The readable manifests of the repository that refer to `subject`, oldest first."""
        query = (
            select(StoredManifest)
            .where(StoredManifest.repository == repository, StoredManifest.subject == subject)
            .order_by(StoredManifest.at, StoredManifest.digest)
        )
        with self._session() as session:
            return session.scalars(query).all()

    def statements(self, subjects: Iterable[Digest]) -> Sequence[StoredStatement]:
        """The bundles about any of these digests, newest first."""
        query = (
            select(StoredStatement)
            .where(StoredStatement.subject.in_(tuple(subjects)))
            .order_by(StoredStatement.at.desc(), StoredStatement.bundle_digest)
        )
        with self._session() as session:
            return session.scalars(query).all()

    def _newest(self, *conditions: ColumnElement[bool]) -> StoredDecision | None:
        query = select(StoredDecision).where(*conditions).order_by(StoredDecision.at.desc()).limit(1)
        with self._session() as session:
            return session.scalars(query).first()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._wrapped(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(
                f"the gate's database {self._path} cannot be used: {cause}",
                remedy="Check that the disk has room and that the gate may write there.",
            ) from error


def _as_durable(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
