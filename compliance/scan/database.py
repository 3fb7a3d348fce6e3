"""Which vulnerability databases there are: Trivy's own where it can be had, and the private advisories."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from compliance.errors import Unavailable
from compliance.evidence import Database
from compliance.oci.digest import Digest
from compliance.scan.advisories import NAME as ADVISORIES
from compliance.scan.advisories import advisories_digest, advisory_files, compile_database, read_advisories
from compliance.scan.installed import TRIVY, Installed, Metadata, Pin, installed, pinned, present, read_pin, write
from compliance.scan.lock import exclusive
from compliance.scan.trivy import Trivy, TrivyDatabase

__all__ = ["TrivyDatabase", "find_databases"]

RETRY_AFTER: Final = timedelta(hours=12)
DOWNLOAD_SECONDS: Final = 30.0
COMPILE_SECONDS: Final = 60.0


class _Attempt(BaseModel):
    """The last try to download Trivy's database, and from where. `error` is empty when it went well."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    error: str
    repository: str | None = None


def find_databases(
    trivy: Trivy,
    cache: Path,
    advisories: Path,
    *,
    now: datetime,
    download: bool = True,
    shared: Path | None = None,
    repository: str | None = None,
) -> tuple[tuple[TrivyDatabase, ...], tuple[str, ...]]:
    """The databases that can be used, Trivy's own first, and notes on what could not be, and why.

    `cache` keeps downloads and compiled advisories. `shared` is Trivy's own cache directory, the user's by
    default; a database there is used as it is. A missing or overdue database is downloaded into `cache`,
    from `repository` or where Trivy has it from, for at most 30 seconds and at most once in 12 hours unless
    from elsewhere; that this fails is a note, not an error. A pinned database is used alone, and nothing is
    downloaded. Raises InvalidInput when an advisory file in `advisories` is wrong, and Unavailable when `cache`
    cannot be written.
    """
    notes: list[str] = []
    places = (cache / TRIVY, user_cache_path("trivy") if shared is None else shared)
    pin = read_pin(cache / TRIVY)
    if pin is not None:
        found = _pinned(cache / TRIVY, pin, notes)
    else:
        found = next(iter(installed(places, notes)), None)
        if (found is None or found.next_update <= now) and download:
            notes += _download(trivy, cache / TRIVY, now, repository)
            found = next(iter(installed(places, [])), None)
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


def _pinned(place: Path, pin: Pin, notes: list[str]) -> Installed | None:
    """The pinned database. Another one is never used in its place."""
    found = pinned(place, pin)
    if found is None:
        name = pin.reference
        notes.append(f"The pinned database {name} is not there; `mlbuild db update --from {name}` fetches it.")
    return found


def _download(trivy: Trivy, place: Path, now: datetime, repository: str | None) -> list[str]:
    """Try to download Trivy's database into a new directory below `place`; a note when there is none to be had."""
    attempts = place / "last-attempt.json"
    try:
        with exclusive(place / "download.lock", patience=DOWNLOAD_SECONDS + 5):
            last = _last_attempt(attempts)
            if last is None or last.repository != repository or not timedelta() <= now - last.at < RETRY_AFTER:
                last = _Attempt(at=now, error=_try_download(trivy, place, repository), repository=repository)
                write(attempts, last)
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


def _try_download(trivy: Trivy, place: Path, repository: str | None) -> str:
    """Download beside what is in use, so that a scan that is running keeps its files. Returns what went wrong."""
    with fresh_directory(place) as folder:
        try:
            trivy.download_database(folder, timeout=DOWNLOAD_SECONDS, repository=repository)
        except Unavailable as error:
            return error.message
        found = next(present(folder, []), None)
        if found is None:
            return "what was downloaded is not a database"
        settle(folder, place, f"{found.database.description.updated:%Y%m%dT%H%M%SZ}")
    return ""


def settle(folder: Path, place: Path, name: str) -> Path:
    """Give a new database its name in `place`; of the older ones the newest stays for those who still read it."""
    older = sorted((item for item in place.glob("[0-9]*") if item.is_dir() and item.name != name), reverse=True)
    target = place / name
    if not target.exists():
        folder.rename(target)
    for item in older[1:]:
        shutil.rmtree(item, ignore_errors=True)
    return target


def _private(cache: Path, directory: Path) -> TrivyDatabase | None:
    """The private advisories as a database, compiled once for each state of the files."""
    files = advisory_files(directory)
    if not files:
        return None
    target = cache / advisories_digest(files).hex
    file, metadata = target / "db" / "trivy.db", target / "db" / "metadata.json"
    if not (file.is_file() and metadata.is_file()):
        advisories = read_advisories(directory)
        with exclusive(cache / "compile.lock", patience=COMPILE_SECONDS), fresh_directory(cache) as folder:
            if not (file.is_file() and metadata.is_file()):
                compile_database(advisories, folder)
                shutil.rmtree(target, ignore_errors=True)
                folder.rename(target)
    described = Metadata.model_validate_json(metadata.read_bytes())
    updated = described.updated_at.astimezone(UTC)
    return TrivyDatabase(ADVISORIES, target, Database(ADVISORIES, Digest.of(file.read_bytes()), updated))


@contextmanager
def fresh_directory(place: Path) -> Iterator[Path]:
    """A new directory in `place`, gone at the end unless it was given another name."""
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=place, prefix=".new-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
