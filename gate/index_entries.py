"""What indexes name, by digest: written with an index, so that lists can say whether all of it is there."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    ForeignKeyConstraint,
    Index,
    String,
    event,
    exists,
    insert,
    select,
)
from sqlalchemy.orm import Mapped, Mapper, aliased, mapped_column

from compliance.oci.digest import Digest
from compliance.oci.manifest import Index as IndexDocument
from compliance.oci.manifest import parse_manifest
from gate.schema import Kind, StoredManifest, Table

_ROWS: Final = 500


class StoredEntry(Table):
    """A manifest that an index names, itself or through an index that it names."""

    __tablename__ = "index_entries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["repository", "index"], ["manifests.repository", "manifests.digest"], ondelete="CASCADE"
        ),
        Index("index_entries_by_entry", "repository", "entry"),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    index: Mapped[Digest] = mapped_column(primary_key=True)
    entry: Mapped[Digest] = mapped_column(primary_key=True)


@event.listens_for(StoredManifest, "after_insert")
def _note(mapper: Mapper[Any], connection: Connection, manifest: StoredManifest) -> None:  # noqa: ARG001
    """Write what an index names. What that names in turn was written before, as it has to be there first."""
    if manifest.kind is not Kind.INDEX:
        return
    document = parse_manifest(manifest.raw, manifest.media_type)
    if not isinstance(document, IndexDocument):
        return
    named = {entry.digest for entry in document.manifests}
    for some in _portions(sorted(named)):
        query = select(StoredEntry.entry).where(
            StoredEntry.repository == manifest.repository, StoredEntry.index.in_(some)
        )
        named.update(connection.scalars(query))
    rows = [{"repository": manifest.repository, "index": manifest.digest, "entry": one} for one in sorted(named)]
    if rows:
        connection.execute(insert(StoredEntry), rows)


def _portions(digests: list[Digest]) -> list[list[Digest]]:
    return [digests[start : start + _ROWS] for start in range(0, len(digests), _ROWS)]


def is_broken() -> ColumnElement[bool]:
    """Whether something that a manifest names is not there any more, as a part of a query of manifests."""
    there = aliased(StoredManifest)
    return exists().where(
        StoredEntry.repository == StoredManifest.repository,
        StoredEntry.index == StoredManifest.digest,
        ~exists().where(there.repository == StoredEntry.repository, there.digest == StoredEntry.entry),
    )
