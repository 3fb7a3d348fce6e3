"""The gate's SQL database, SQLite or PostgreSQL: sessions, one writer at a time, and failures as Unavailable.

One writer at a time holds for all gates on one database. A merge reads before it writes, so two at once on one
row would both insert it, and each entry of the audit log names the one before. SQLite knows no other way; on
PostgreSQL every transaction that writes takes one advisory lock, which its end gives back, whatever end it was.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from compliance.errors import Unavailable
from gate.engines import WRITES, postgresql, repository_turn, sqlite, writes
from gate.migration import SchemaState, prepare, state_of, upgrade

_FILE_REMEDY: Final = "Check that the disk has room and that the gate may write there."
_SERVER_REMEDY: Final = "Check that the server runs, that the URL is right, and that its user may write there."


class DatabaseUnavailable(Unavailable):
    """The database cannot be used. The message names it, so it is for those who run the gate alone."""


class Database:
    """One database. May be used from several threads. Raises Unavailable when it cannot be used.

    `where` is the file of a SQLite database, or the URL of one of either kind. A database that is empty gets its
    tables; one of SQLite is upgraded. With `as_found` it is left as it is, whatever it is.
    """

    def __init__(self, where: Path | URL, *, as_found: bool = False) -> None:
        url = URL.create("sqlite", database=str(where)) if isinstance(where, Path) else where
        self.url = url
        self.is_shared = url.get_backend_name() == "postgresql"
        """Whether several gates may be on it."""
        self._engine = postgresql(url) if self.is_shared else sqlite(url)
        self._writing_engine = self._engine.execution_options(**WRITES)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._writing_sessions = sessionmaker(self._writing_engine, expire_on_commit=False)
        # Threads of one process wait for their turn here, so that they do not hold a connection meanwhile.
        self._writing = threading.Lock()
        if not as_found:
            try:
                with self._wrapped(), self._writing_engine.begin() as connection:
                    prepare(connection, by_itself=not self.is_shared, name=self.name)
            except BaseException:
                self.close()
                raise

    @property
    def name(self) -> str:
        """How messages call it: a file, or a URL without its password."""
        return self.url.render_as_string(hide_password=True) if self.is_shared else str(self.url.database)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for questions."""
        with self._wrapped(), self._sessions() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session for one transaction: on disk when the block has ended, or as if it had never begun."""
        with self._writing, self._wrapped(), self._writing_sessions.begin() as session:
            yield session

    @contextmanager
    def turn(self, repository: str) -> Iterator[None]:
        """Keep other gates on this database from changing what is published in a repository.

        Threads of this process are for the caller to keep apart. Raises Unavailable when another gate does not
        let go, or the server is not there to ask.
        """
        if not self.is_shared:
            yield
            return
        with ExitStack() as stack:
            with self._wrapped():
                stack.enter_context(repository_turn(self.url, repository))
            yield

    def schema(self) -> SchemaState:
        """Which version of the tables is there."""
        with self._wrapped(), self._engine.connect() as connection:
            return state_of(connection)

    def upgrade(self) -> SchemaState:
        """Bring the tables to this program's version, all of it or nothing, and return what was there before."""
        with self._wrapped(), self._writing_engine.begin() as connection:
            return upgrade(connection, self.name)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise DatabaseUnavailable(
                f"the gate's database {self.name} cannot be used: {' '.join(str(cause).split())}",
                remedy=_SERVER_REMEDY if self.is_shared else _FILE_REMEDY,
            ) from error


class Changes:
    """How often each repository was changed by this process, so that what was read before is known to be old."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, repository: str) -> int:
        return self._counts[repository]

    @contextmanager
    def of(self, repository: str) -> Iterator[None]:
        """Count a change when it is through, also when it may have failed halfway."""
        try:
            yield
        finally:
            with self._lock:
                self._counts[repository] += 1


def is_writing(session: Session) -> bool:
    """Whether a session is one of `Database.writing`, which no other writer is beside."""
    return writes(session.connection())
