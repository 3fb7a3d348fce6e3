"""The gate's SQL database: sessions, one writer at a time in this process, and failures as Unavailable."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from compliance.errors import Unavailable
from gate.schema import Table


class Database:
    """One database file. May be used from several threads. Raises Unavailable when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _as_durable)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        # A merge reads before it writes, so two at once on one row would both insert it.
        self._writing = threading.Lock()
        with self._wrapped():
            Table.metadata.create_all(self._engine)

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
        with self._writing, self._wrapped(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(
                f"the gate's database {self._path} cannot be used: {cause}",
                remedy="Check that the disk has room and that the gate may write there.",
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


def _as_durable(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
