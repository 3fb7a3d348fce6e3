"""When a vulnerability of a package was first met here, for days of grace that begin with the first sight.

A SQLite file that several processes may use. Losing it makes everything be seen anew, so it is kept with data
and not with what can be made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from compliance.errors import Unavailable
from compliance.evidence import Evidence, Vulnerability, VulnerabilityScan
from compliance.instants import in_utc

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS seen (purl TEXT, name TEXT, first TEXT NOT NULL, PRIMARY KEY (purl, name)) WITHOUT ROWID
"""
_PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes."""


class Memory(Protocol):
    """Where it is remembered what was seen when: a file here, or the database that several gates share."""

    def mark(self, evidence: Evidence, now: datetime) -> Evidence:
        """The evidence with the first sight of each vulnerability; what was not seen before is from `now` on."""
        ...


def marked(evidence: Evidence, first: Callable[[Sequence[Vulnerability]], Sequence[datetime]]) -> Evidence:
    """The evidence with what `first` says of its vulnerabilities, in their order; it is asked if there are any."""
    scan = evidence.vulnerabilities
    if not isinstance(scan, VulnerabilityScan) or not scan.vulnerabilities:
        return evidence
    seen = tuple(
        replace(found, first_seen=at)
        for found, at in zip(scan.vulnerabilities, first(scan.vulnerabilities), strict=True)
    )
    return replace(evidence, vulnerabilities=replace(scan, vulnerabilities=seen))


class Sightings:
    """The first sight of every vulnerability of every package, by purl, id and aliases."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def mark(self, evidence: Evidence, now: datetime) -> Evidence:
        """The evidence with the first sight of each vulnerability; what was not seen before is from `now` on.

        Raises Unavailable when the file cannot be used.
        """
        try:
            return marked(evidence, lambda found: self._first(found, in_utc(now).isoformat()))
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(
                f"{self._file} cannot be used: {error}",
                remedy="Make it writable; when it is damaged, delete it, and everything is seen anew.",
            ) from error

    def _first(self, vulnerabilities: Sequence[Vulnerability], now: str) -> list[datetime]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._file, timeout=_PATIENCE)) as database, database:
            database.execute(_TABLE)
            rows = [(one.purl, name, now) for one in vulnerabilities for name in (one.id, *one.aliases)]
            database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", rows)
            return [datetime.fromisoformat(min(_seen(database, one))) for one in vulnerabilities]


def _seen(database: sqlite3.Connection, one: Vulnerability) -> list[str]:
    names = (one.id, *one.aliases)
    marks = ", ".join("?" * len(names))
    query = f"SELECT first FROM seen WHERE purl = ? AND name IN ({marks})"  # noqa: S608 - question marks only
    return [row[0] for row in database.execute(query, (one.purl, *names))]
