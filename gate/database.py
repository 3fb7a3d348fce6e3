"""The gate's SQL database: sessions, one writer at a time in this process, and failures as Unavailable."""

from __future__ import annotations

import sqlite3
import threading
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


def _as_durable(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
