"""Questions about everything the gate knows, which readers of the API and of the metrics ask."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from gate.database import Database
from gate.schema import Kind, StoredManifest


class Catalogue:
    """May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Mapping[tuple[Kind, bool], int]:
        """How many manifests may be read, by kind and by whether audit alone let them in."""
        query = select(StoredManifest.kind, StoredManifest.audited, func.count()).group_by(
            StoredManifest.kind, StoredManifest.audited
        )
        with self._database.reading() as session:
            return {(kind, audited): count for kind, audited, count in session.execute(query)}
