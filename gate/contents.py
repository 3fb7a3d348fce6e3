"""Which images hold what: who uses a package, where a vulnerability is, and what waivers excuse.

Only of images that may be pulled, and of repositories that whoever asks may see (`visible`; None is all).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Select, exists, select

from compliance.oci.digest import Digest
from gate.database import Database
from gate.image_index import ImagePackage, ImageVulnerability, ImageWaived
from gate.paging import after_key
from gate.schema import StoredManifest

RowT = TypeVar("RowT", ImagePackage, ImageVulnerability, ImageWaived)

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
    vulnerability: str
    purl: str
    severity: str
    fixed: tuple[str, ...]
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
        query = select(table).where(
            *(
                column == wanted
                for column, wanted in ((table.purl, purl), (table.name, name), (table.version, version))
                if wanted is not None
            )
        )
        with self._database.reading() as session:
            return [
                Use(
                    row.repository,
                    row.digest,
                    row.purl,
                    row.name,
                    row.version,
                    row.ecosystem,
                    row.origin,
                    row.number,
                )
                for row in session.scalars(_page(query, table, visible, after, limit))
            ]

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
        query = select(table).where(table.name == name)
        with self._database.reading() as session:
            return [
                Affected(
                    row.repository,
                    row.digest,
                    row.id,
                    row.purl,
                    row.severity,
                    tuple(row.fixed.split("\n")) if row.fixed else (),
                    row.number,
                )
                for row in session.scalars(_page(query, table, visible, after, limit))
            ]

    def waived(self, visible: Collection[str] | None, waiver: str, *, limit: int) -> Sequence[Waived]:
        """What a waiver excuses in images that may be pulled, by image."""
        table = ImageWaived
        query = select(table).where(table.waiver == waiver)
        with self._database.reading() as session:
            return [
                Waived(row.repository, row.digest, row.waiver, row.rule, row.key, row.culprit)
                for row in session.scalars(_page(query, table, visible, None, limit))
            ]


def _page(
    query: Select[RowT],
    table: type[ImagePackage | ImageVulnerability | ImageWaived],
    visible: Collection[str] | None,
    after: Place | None,
    limit: int,
) -> Select[RowT]:
    """The rows of published images that may be seen, in order, those after a place."""
    query = query.where(
        exists().where(StoredManifest.repository == table.repository, StoredManifest.digest == table.digest)
    )
    if visible is not None:
        query = query.where(table.repository.in_(visible))
    if after is not None:
        query = query.where(after_key((table.repository, table.digest, table.number), after))
    return query.order_by(table.repository, table.digest, table.number).limit(limit)
