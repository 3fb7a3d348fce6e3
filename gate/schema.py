"""The gate's tables."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Dialect, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Verdict


class _DigestText(TypeDecorator[Digest]):
    impl: TypeEngine[Any] = String(140)
    cache_ok = True

    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Digest | None:  # noqa: ARG002
        return None if value is None else Digest(value)


class _Moment(TypeDecorator[datetime]):
    """A time with its zone, kept as UTC."""

    impl: TypeEngine[Any] = DateTime()
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


class Kind(StrEnum):
    """What a readable manifest is."""

    IMAGE = "image"
    INDEX = "index"
    EVIDENCE = "evidence"
    ARTIFACT = "artifact"


class _VerdictText(TypeDecorator[Verdict]):
    impl: TypeEngine[Any] = String(16)
    cache_ok = True

    def process_bind_param(self, value: Verdict | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Verdict | None:  # noqa: ARG002
        return None if value is None else Verdict(value)


class _KindText(TypeDecorator[Kind]):
    impl: TypeEngine[Any] = String(16)
    cache_ok = True

    def process_bind_param(self, value: Kind | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Kind | None:  # noqa: ARG002
        return None if value is None else Kind(value)


class _ModeText(TypeDecorator[Mode]):
    impl: TypeEngine[Any] = String(16)
    cache_ok = True

    def process_bind_param(self, value: Mode | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Mode | None:  # noqa: ARG002
        return None if value is None else Mode(value)


_TagText: TypeEngine[str] = String(128).with_variant(String(128, collation="C"), "postgresql")
"""Tags are listed in the order of their bytes, whatever a database's language is."""


class Table(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own form
        Digest: _DigestText,
        datetime: _Moment,
        Verdict: _VerdictText,
        Kind: _KindText,
        Mode: _ModeText,
    }


class StoredDecision(Table):
    """One verdict, with all that is needed to reach it again.

    `inputs` is the digest of what the verdict depends on besides the image and the time: policies,
    databases, evidence, bases and keys. `decision` and `evidence` are canonical JSON. `line` is what
    the client was told, without the report's address. In audit mode what was refused was let in all the same.
    A `later` one is on what had been admitted before, and no push asked for it.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Index("decisions_by_digest", "repository", "digest", "at"),
        Index("decisions_by_tag", "repository", "tag", "at"),
        Index("decisions_by_time", "at", "id", "verdict", "later", "repository"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    repository: Mapped[str] = mapped_column(String(255))
    digest: Mapped[Digest]
    tag: Mapped[str | None] = mapped_column(String(128))
    user: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    verdict: Mapped[Verdict]
    line: Mapped[str] = mapped_column(Text)
    inputs: Mapped[Digest]
    policy_digest: Mapped[Digest]
    evidence_digest: Mapped[Digest]
    databases: Mapped[str] = mapped_column(Text)
    """Name and digest of each vulnerability database, one a line."""
    decision: Mapped[bytes] = mapped_column(LargeBinary)
    evidence: Mapped[bytes] = mapped_column(LargeBinary)
    mode: Mapped[Mode] = mapped_column(default=Mode.ENFORCE)
    later: Mapped[bool] = mapped_column(default=False)

    @property
    def lets_in(self) -> bool:
        return self.verdict is Verdict.ADMITTED or self.mode is Mode.AUDIT


class StoredManifest(Table):
    """A manifest that may be read, byte for byte.

    `decision` is the one that admitted it; of evidence that the gate wrote itself, the one it tells of; None
    for evidence of others.

    `kept_as` is what keeps its blobs in the registry behind the gate: the manifest itself, or a stand-in where
    that registry cannot take it. None where there is nothing to keep. What is `audited` was let in only since
    nothing was blocked where it is, and may be read for as long as that is so.
    """

    __tablename__ = "manifests"
    __table_args__ = (
        Index("manifests_by_subject", "repository", "subject"),
        Index("manifests_by_kind", "kind", "audited", "repository", "digest"),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    media_type: Mapped[str] = mapped_column(Text)
    kind: Mapped[Kind]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    subject: Mapped[Digest | None]
    decision: Mapped[str | None] = mapped_column(ForeignKey("decisions.id"))
    at: Mapped[datetime]
    kept_as: Mapped[Digest | None]
    audited: Mapped[bool] = mapped_column(default=False)


class StoredBlob(Table):
    """A blob that was pushed into a repository, or mounted there.

    `stored_as` is its digest in the registry behind the gate, which may know sha256 only.
    """

    __tablename__ = "blobs"
    __table_args__ = (
        Index("blobs_by_digest", "digest"),
        Index("blobs_by_stored_digest", "repository", "stored_as"),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    stored_as: Mapped[Digest]


class StoredPart(Table):
    """A blob that a readable manifest is made of, and that may be read for its sake."""

    __tablename__ = "parts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["repository", "manifest"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
        Index("parts_by_blob", "repository", "blob"),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    manifest: Mapped[Digest] = mapped_column(primary_key=True)
    blob: Mapped[Digest] = mapped_column(primary_key=True)


class StoredTag(Table):
    """A name for a readable manifest."""

    __tablename__ = "tags"

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    tag: Mapped[str] = mapped_column(_TagText, primary_key=True)
    digest: Mapped[Digest]


class StoredSecret(Table):
    """Random bytes that every gate on this database shares."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class StoredStatement(Table):
    """A signed bundle, under each digest that its statement is about."""

    __tablename__ = "statements"

    subject: Mapped[Digest] = mapped_column(primary_key=True)
    bundle_digest: Mapped[Digest] = mapped_column(primary_key=True)
    predicate_type: Mapped[str] = mapped_column(Text)
    bundle: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]
