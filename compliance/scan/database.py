"""Which vulnerability databases there are: Trivy's own where it can be had, and the private advisories."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from compliance.errors import Unavailable
from compliance.evidence import Database
from compliance.oci.digest import Digest
from compliance.scan.advisories import NAME as ADVISORIES
from compliance.scan.advisories import advisories_digest, advisory_files, compile_database, read_advisories
from compliance.scan.lock import exclusive
from compliance.scan.trivy import Trivy, TrivyDatabase

__all__ = ["TrivyDatabase", "find_databases"]

TRIVY: Final = "trivy"
SCHEMA: Final = 2
RETRY_AFTER: Final = timedelta(hours=12)
DOWNLOAD_SECONDS: Final = 30.0
COMPILE_SECONDS: Final = 60.0


class _Metadata(BaseModel):
    """`metadata.json` beside a database."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(alias="Version")
    next_update: AwareDatetime = Field(alias="NextUpdate")
    updated_at: AwareDatetime = Field(alias="UpdatedAt")


class _Attempt(BaseModel):
    """The last try to download Trivy's database. `error` is empty when it went well."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    error: str


@dataclass(frozen=True, slots=True)
class _Found:
    database: TrivyDatabase
    next_update: datetime


def find_databases(
    trivy: Trivy,
    cache: Path,
    advisories: Path,
    *,
    now: datetime,
    download: bool = True,
    shared: Path | None = None,
) -> tuple[tuple[TrivyDatabase, ...], tuple[str, ...]]:
    """The databases that can be used, Trivy's own first, and notes on what could not be, and why.

    `cache` keeps downloads and compiled advisories. `shared` is Trivy's own cache directory, the user's by
    default; a database there is used as it is. A missing or overdue database is downloaded into `cache`,
    at most once in 12 hours and for at most 30 seconds; that this fails is a note, not an error. Raises
    InvalidInput when an advisory file in `advisories` is wrong, and Unavailable when `cache` cannot be written.
    """
    notes: list[str] = []
    places = (cache / TRIVY, user_cache_path("trivy") if shared is None else shared)
    found = _newest(places, notes)
    if (found is None or found.next_update <= now) and download:
        notes += _download(trivy, cache / TRIVY, now)
        found = _newest(places, [])
    if found is None and not download:
        notes.append("Trivy's own database is not there and was not to be downloaded.")
    try:
        private = _private(cache / ADVISORIES, advisories)
    except OSError as error:
        raise Unavailable(
            f"the private advisories cannot be compiled: {error.filename}: {error.strerror}",
            remedy="Make the cache directory writable, or name another one with the setting `cache`.",
        ) from error
    if private is None:
        notes.append(f"There are no private advisories in {advisories}.")
    own = () if found is None else (found.database,)
    return (*own, *(() if private is None else (private,))), tuple(notes)


def _newest(places: tuple[Path, ...], notes: list[str]) -> _Found | None:
    """The most recently updated of Trivy's databases in `places` and in the downloads below them.

    What is there but of no use is noted.
    """
    directories = [folder for place in places for folder in (place, *sorted(place.glob("[0-9]*")))]
    found = [item for folder in directories for item in _present(folder, notes)]
    return max(found, key=lambda item: item.database.description.updated, default=None)


def _present(place: Path, notes: list[str]) -> Iterator[_Found]:
    """Trivy's database in `place`, if any. Since it is large, its digest is of its metadata and its size."""
    file, metadata = place / "db" / "trivy.db", place / "db" / "metadata.json"
    try:
        size = file.stat().st_size
        raw = metadata.read_bytes()
        described = _Metadata.model_validate_json(raw)
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
    yield _Found(database, described.next_update)


def _download(trivy: Trivy, place: Path, now: datetime) -> list[str]:
    """Try to download Trivy's database into a new directory below `place`; a note when there is none to be had."""
    attempts = place / "last-attempt.json"
    try:
        with exclusive(place / "download.lock", patience=DOWNLOAD_SECONDS + 5):
            last = _last_attempt(attempts)
            if last is None or not timedelta() <= now - last.at < RETRY_AFTER:
                last = _Attempt(at=now, error=_try_download(trivy, place))
                _write(attempts, last.model_dump_json().encode())
    except Unavailable as error:
        return [f"Trivy's own database was not looked for: {error.message}."]
    except OSError as error:
        return [f"Trivy's own database was not looked for: {error.filename}: {error.strerror}."]
    if not last.error:
        return []
    again = (last.at + RETRY_AFTER).astimezone(UTC)
    return [
        "Trivy's own database could not be downloaded (`trivy image --download-db-only` says why). "
        f"Next try after {again:%Y-%m-%d %H:%M} UTC."
    ]


def _last_attempt(path: Path) -> _Attempt | None:
    """What was noted of the last try. An unreadable note is as good as none."""
    try:
        return _Attempt.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _try_download(trivy: Trivy, place: Path) -> str:
    """Download beside what is in use, so that a scan that is running keeps its files. Returns what went wrong."""
    with _fresh_directory(place) as folder:
        try:
            trivy.download_database(folder, timeout=DOWNLOAD_SECONDS)
        except Unavailable as error:
            return error.message
        found = next(_present(folder, []), None)
        if found is None:
            return "what was downloaded is not a database"
        older = sorted((item for item in place.glob("[0-9]*") if item.is_dir()), reverse=True)
        target = place / f"{found.database.description.updated:%Y%m%dT%H%M%SZ}"
        if not target.exists():
            folder.rename(target)
        for item in older[1:]:
            shutil.rmtree(item, ignore_errors=True)
    return ""


def _private(cache: Path, directory: Path) -> TrivyDatabase | None:
    """The private advisories as a database, compiled once for each state of the files."""
    files = advisory_files(directory)
    if not files:
        return None
    target = cache / advisories_digest(files).hex
    file, metadata = target / "db" / "trivy.db", target / "db" / "metadata.json"
    if not (file.is_file() and metadata.is_file()):
        advisories = read_advisories(directory)
        with exclusive(cache / "compile.lock", patience=COMPILE_SECONDS), _fresh_directory(cache) as folder:
            if not (file.is_file() and metadata.is_file()):
                compile_database(advisories, folder)
                shutil.rmtree(target, ignore_errors=True)
                folder.rename(target)
    described = _Metadata.model_validate_json(metadata.read_bytes())
    updated = described.updated_at.astimezone(UTC)
    return TrivyDatabase(ADVISORIES, target, Database(ADVISORIES, Digest.of(file.read_bytes()), updated))


@contextmanager
def _fresh_directory(place: Path) -> Iterator[Path]:
    """A new directory in `place`, gone at the end unless it was given another name."""
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place, prefix=".new-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as stream:
        stream.write(data)
    Path(stream.name).replace(path)
