"""Backups of what a gate knows, made while it runs, and the way back.

A backup is a directory: the database as it was at one moment, and what the gate keeps beside it. The bytes of
images are in the registry behind the gate, and are backed up with the means of that registry, afterwards: then
everything that the database tells of is there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from compliance.errors import InvalidInput, Location, Unavailable
from gate.audit.checkpoints import FILE as CHECKPOINTS
from gate.database import Database
from gate.migration import Condition
from gate.own_key import FILE as KEY
from gate.scratch import NAME_FILE
from gate.settings import Settings

SQLITE_COPY: Final = "gate.db"
POSTGRESQL_COPY: Final = "gate.dump"
USERS: Final = "users.yaml"
ACCESS: Final = "access.yaml"
NOTIFY: Final = "notify.yaml"


def back_up(settings: Settings, target: Path) -> None:
    """Write a backup to a directory that is not there yet. It appears whole or not at all.

    Raises InvalidInput when `target` exists or cannot be written, Unavailable when there is nothing to back up,
    or the database cannot be read.
    """
    with _appearing(target) as new:
        # Before the database: a checkpoint over entries that the copy lacks would speak of a loss.
        for source, name in _files(settings):
            if source.exists():
                shutil.copyfile(source, new / name)
        url = settings.database_url
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(Path(url.database or ""), new / SQLITE_COPY)
        else:
            _run("pg_dump", ["--format=custom", "--no-owner", "--file", str(new / POSTGRESQL_COPY)], url)
        for path in new.iterdir():
            path.chmod(0o600)


def restore(settings: Settings, source: Path) -> None:
    """Bring a backup back to where the settings say, where there must be nothing yet.

    Raises InvalidInput for what is no backup, one of the other kind of database, or a place that is not empty.
    """
    url = settings.database_url
    is_file = url.get_backend_name() == "sqlite"
    copy = source / (SQLITE_COPY if is_file else POSTGRESQL_COPY)
    if not copy.exists():
        raise InvalidInput(
            f"has no {copy.name}, so it is no backup of a {'SQLite' if is_file else 'PostgreSQL'} database",
            at=Location(source),
            remedy="Name a directory that `mlgate backup` wrote, and the kind of database it was made of.",
        )
    if not is_file:
        _require_empty(url)
    wanted = [(source / name, target) for target, name in _files(settings) if (source / name).exists()]
    wanted += [(copy, Path(url.database or ""))] if is_file else []
    for _, target in wanted:
        if target.exists():
            raise InvalidInput("exists, and a restore replaces nothing", at=Location(target))
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_file:
            _run("pg_restore", ["--no-owner", "--exit-on-error", "--single-transaction", str(copy)], url)
        for path, target in wanted:
            shutil.copyfile(path, target)
            target.chmod(0o600)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(settings.data)) from error


def _files(settings: Settings) -> Sequence[tuple[Path, str]]:
    """What a gate keeps beside its database, and what it is called in a backup.

    Files with secrets that the access and notify files name are not among them, nor is what others look after too:
    settings, the cluster file, certificates, policies, bases and trusted keys.
    """
    beside = [(settings.data / name, name) for name in (CHECKPOINTS, KEY, NAME_FILE)]
    rest = [(settings.users_file, USERS), (settings.access_file, ACCESS), (settings.notify_file, NOTIFY)]
    return [*beside, *rest]


def _copy_sqlite(source: Path, target: Path) -> None:
    """A copy as of one moment, with what is still in the write-ahead log, while others write."""
    if not source.exists():
        raise Unavailable(f"there is no database {source}", remedy="Name the gate's --data directory.")
    try:
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
            original.backup(copy)
            problem = copy.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise Unavailable(f"{source} cannot be copied: {error}") from error
    if problem != "ok":
        raise Unavailable(f"{source} is damaged: {problem}", remedy="Restore it from an older backup.")


def _require_empty(url: URL) -> None:
    with closing(Database(url, as_found=True)) as database:
        if database.schema().condition is not Condition.EMPTY:
            raise InvalidInput(
                f"the database {database.name} is not empty, and a restore replaces nothing",
                remedy="Make an empty one (createdb) and name it in MLGATE_DATABASE.",
            )


def _run(program: str, arguments: Sequence[str], url: URL) -> None:
    """Run one of PostgreSQL's own programs. The password is not in the arguments, which everybody can see."""
    if shutil.which(program) is None:
        raise Unavailable(
            f"{program} is not installed",
            remedy="Install PostgreSQL's client programs (Debian: postgresql-client).",
        )
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    done = subprocess.run(
        [program, "--dbname", address, *arguments],
        env={**os.environ, **password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"{program} failed: {' '.join(done.stderr.split())}")


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    if target.exists():
        raise InvalidInput("exists, and a backup replaces nothing", at=Location(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=".backup-"))
        try:
            yield new
            new.rename(target)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(target)) from error
