"""When a vulnerability of a package was first met by any of the gates on one database.

Days of grace begin with the first sight. Gates that remembered it each for itself would come to other verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from compliance.evidence import Evidence, Vulnerability
from compliance.oci.digest import Digest
from compliance.scan.sightings import marked
from gate.database import Database
from gate.schema import Table

AT_A_TIME: Final = 500

Sight = tuple[Digest, str]


class StoredSighting(Table):
    """The first sight of a vulnerability, under each of its names. `package` is the digest of a purl."""

    __tablename__ = "sightings"

    package: Mapped[Digest] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    purl: Mapped[str] = mapped_column(Text)
    first: Mapped[datetime]


class SharedSightings:
    """The sightings in a gate's database. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, evidence: Evidence, now: datetime) -> Evidence:
        """The evidence with the first sight of each vulnerability; what was not seen before is from `now` on.

        Raises Unavailable when the database cannot be used.
        """
        return marked(evidence, lambda found: self._first(found, now))

    def _first(self, vulnerabilities: Sequence[Vulnerability], now: datetime) -> Sequence[datetime]:
        purls = {Digest.of(one.purl.encode()): one.purl for one in vulnerabilities}
        wanted = {sight for one in vulnerabilities for sight in _sights(one)}
        with self._database.reading() as session:
            known = _known(session, purls)
        if wanted - known.keys():
            with self._database.writing() as session:
                known = _known(session, purls)  # another gate may have been first
                for package, name in sorted(wanted - known.keys()):
                    session.add(StoredSighting(package=package, name=name, purl=purls[package], first=now))
                    known[package, name] = now
        return [min(known[sight] for sight in _sights(one)) for one in vulnerabilities]


def _sights(one: Vulnerability) -> Sequence[Sight]:
    package = Digest.of(one.purl.encode())
    return [(package, name) for name in (one.id, *one.aliases)]


def _known(session: Session, packages: Mapping[Digest, str]) -> dict[Sight, datetime]:
    found: dict[Sight, datetime] = {}
    for some in _batches(tuple(packages)):
        query = select(StoredSighting.package, StoredSighting.name, StoredSighting.first)
        for row in session.execute(query.where(StoredSighting.package.in_(some))):
            found[row.package, row.name] = row.first
    return found


def _batches(packages: Sequence[Digest]) -> Iterable[Sequence[Digest]]:
    return (packages[start : start + AT_A_TIME] for start in range(0, len(packages), AT_A_TIME))
