"""The Trivy databases that are on this machine, where they came from, and which one is pinned.

CACHE/trivy/20261122T060000Z/db/trivy.db        a database, beside it metadata.json
CACHE/trivy/20261122T060000Z/source.json        which artifact it was fetched from, where we fetched it
CACHE/trivy/pin.json                            the one to use, and no other
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from compliance.evidence import Database
from compliance.oci.digest import Digest
from compliance.scan.trivy import TrivyDatabase

TRIVY: Final = "trivy"
SCHEMA: Final = 2
PIN: Final = "pin.json"
SOURCE: Final = "source.json"

NoteT = TypeVar("NoteT", bound=BaseModel)


class Metadata(BaseModel):
    """`metadata.json` beside a database."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(alias="Version")
    next_update: AwareDatetime = Field(alias="NextUpdate")
    updated_at: AwareDatetime = Field(alias="UpdatedAt")


class Source(BaseModel):
    """Which artifact a database was fetched from. `reference` names it by digest."""

    model_config = ConfigDict(frozen=True)

    reference: str
    digest: Digest
    fetched: AwareDatetime


class Pin(BaseModel):
    """The database to use, whatever else is there and however old it is. `folder` is in the cache's `trivy`."""

    model_config = ConfigDict(frozen=True)

    reference: str
    folder: str


@dataclass(frozen=True, slots=True)
class Installed:
    """A database on disk. `size` is in bytes; `source` is None for one that Trivy itself downloaded."""

    database: TrivyDatabase
    next_update: datetime
    size: int
    source: Source | None = None


def installed(places: Sequence[Path], notes: list[str]) -> tuple[Installed, ...]:
    """Every database in `places` and in the downloads below them, newest first.

    What is there but of no use is told in `notes`.
    """
    directories = [folder for place in places for folder in (place, *sorted(place.glob("[0-9]*")))]
    found = [item for folder in directories for item in present(folder, notes)]
    return tuple(sorted(found, key=lambda item: item.database.description.updated, reverse=True))


def present(place: Path, notes: list[str]) -> Iterator[Installed]:
    """Trivy's database in `place`, if any. Since it is large, its digest is of its metadata and its size."""
    file, metadata = place / "db" / "trivy.db", place / "db" / "metadata.json"
    try:
        size = file.stat().st_size
        raw = metadata.read_bytes()
        described = Metadata.model_validate_json(raw)
    except FileNotFoundError:
        return
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its metadata.json is not understood"
        notes.append(f"The database in {place} cannot be used: {reason}.")
        return
    if described.version != SCHEMA:
        notes.append(f"The database in {place} cannot be used: schema {described.version}, not {SCHEMA}.")
        return
    digest = Digest.of(raw + f"\n{size}\n".encode())
    database = TrivyDatabase(TRIVY, place, Database(TRIVY, digest, described.updated_at.astimezone(UTC)))
    yield Installed(database, described.next_update, size, _read(place / SOURCE, Source))


def read_pin(place: Path) -> Pin | None:
    """The pin in the cache's directory `place`, if there is one. One that cannot be read allows no database."""
    path = place / PIN
    return (_read(path, Pin) or Pin(reference=f"unreadable {path}", folder="")) if path.exists() else None


def pinned(place: Path, pin: Pin) -> Installed | None:
    """The database that `pin` names, if it is there."""
    return next(present(place / pin.folder, []), None) if pin.folder else None


def write(path: Path, document: BaseModel) -> None:
    """Write a note beside the databases, in one step."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as stream:
        stream.write(document.model_dump_json().encode())
    Path(stream.name).replace(path)


def _read(path: Path, kind: type[NoteT]) -> NoteT | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
