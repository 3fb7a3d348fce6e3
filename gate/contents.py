"""Which images hold what: who uses a package, where a vulnerability is, and what waivers excuse.

Only of images that may be pulled, and of repositories that whoever asks may see (`visible`; None is all).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, select

from compliance.oci.digest import Digest
from gate.database import Database
from gate.image_index import ImagePackage, ImageVulnerability, ImageWaived
from gate.paging import after_key
from gate.schema import StoredManifest

Place = tuple[str, Digest, int]
"""A row of an image, to go on after."""


@dataclass(frozen=True, slots=True)
class Use:
    """A package in an image that may be pulled."""

    repository: str
    digest: Digest
    purl: str
    name: str
    version: str
    ecosystem: str
    origin: str
    number: int


@dataclass(frozen=True, slots=True)
class Affected:
    """A known vulnerability in an image that may be pulled."""

    repository: str
    digest: Digest
    name: str
    id: str
    purl: str
    severity: str
    fixed: str
    number: int


@dataclass(frozen=True, slots=True)
class Waived:
    """Something that a waiver excuses in an image that may be pulled."""

    repository: str
    digest: Digest
    waiver: str
    rule: str
    key: str
    culprit: str


class Contents:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def uses(
        self,
        visible: Collection[str] | None,
        *,
        purl: str | None = None,
        name: str | None = None,
        version: str | None = None,
        after: Place | None = None,
        limit: int,
    ) -> Sequence[Use]:
        """The packages that fit, in images that may be pulled, by image."""
        table = ImagePackage
        query = select(
            table.repository,
            table.digest,
            table.purl,
            table.name,
            table.version,
            table.ecosystem,
            table.origin,
            table.number,
        ).where(_pullable(table.repository, table.digest))
        for column, wanted in ((table.purl, purl), (table.name, name), (table.version, version)):
            if wanted is not None:
                query = query.where(column == wanted)
        if visible is not None:
            query = query.where(table.repository.in_(visible))
        if after is not None:
            query = query.where(after_key((table.repository, table.digest, table.number), after))
        query = query.order_by(table.repository, table.digest, table.number).limit(limit)
        with self._database.reading() as session:
            return [Use(*row) for row in session.execute(query)]

    def affected(
        self,
        visible: Collection[str] | None,
        name: str,
        *,
        after: Place | None = None,
        limit: int,
    ) -> Sequence[Affected]:
        """Where a vulnerability is, in images that may be pulled, by image."""
        table = ImageVulnerability
        query = select(
            table.repository,
            table.digest,
            table.name,
            table.id,
            table.purl,
            table.severity,
            table.fixed,
            table.number,
        ).where(_pullable(table.repository, table.digest), table.name == name)
        if visible is not None:
            query = query.where(table.repository.in_(visible))
        if after is not None:
            query = query.where(after_key((table.repository, table.digest, table.number), after))
        query = query.order_by(table.repository, table.digest, table.number).limit(limit)
        with self._database.reading() as session:
            return [Affected(*row) for row in session.execute(query)]

    def waived(self, visible: Collection[str] | None, waiver: str, *, limit: int) -> Sequence[Waived]:
        """What a waiver excuses in images that may be pulled, by image."""
        table = ImageWaived
        query = select(table.repository, table.digest, table.waiver, table.rule, table.key, table.culprit).where(
            _pullable(table.repository, table.digest), table.waiver == waiver
        )
        if visible is not None:
            query = query.where(table.repository.in_(visible))
        query = query.order_by(table.repository, table.digest, table.number).limit(limit)
        with self._database.reading() as session:
            return [Waived(*row) for row in session.execute(query)]


def _pullable(repository: Any, digest: Any) -> ColumnElement[bool]:
    return exists().where(StoredManifest.repository == repository, StoredManifest.digest == digest)
