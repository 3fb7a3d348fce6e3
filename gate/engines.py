"""How the gate uses SQLite and PostgreSQL: what is on disk when, who waits for whom, and for how long."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

PATIENCE: Final = 30
"""Seconds to wait for another writer, and for a connection."""

CONNECTIONS: Final = 30
"""Most connections of a gate beyond the five that it keeps."""

HUNG: Final = 120
"""Seconds after which the server ends the turn of a gate that says nothing: longer than a registry takes."""

WRITES: Final = {"gate_writes": True}
"""Options of a connection whose transactions begin with the writers' turn."""

_WRITERS_TURN: Final = int.from_bytes(b"mlgate-w", "big")
"""The key of the advisory lock, within one PostgreSQL database."""

_CONNECT: Final[Mapping[str, Any]] = {"connect_timeout": PATIENCE, "application_name": "mlgate"}


def writes(connection: Connection) -> bool:
    """Whether a connection's transactions hold the writers' turn."""
    return bool(connection.get_execution_options().get("gate_writes"))


def sqlite(url: URL) -> Engine:
    """Engine for a file: written through to the disk before a transaction counts as done."""
    engine = create_engine(url, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _as_durable_file)
    event.listen(engine, "begin", _begin_on_sqlite)
    return engine


def _as_durable_file(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.isolation_level = None  # Python's own would begin no transaction before a table is made
    _keep_log(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _keep_log(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. Of several who switch a new file at once SQLite lets only one try."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _begin_on_sqlite(connection: Connection) -> None:
    # A transaction that begins to write after it has read fails when another process wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes(connection) else "BEGIN")


def postgresql(url: URL) -> Engine:
    """Engine for a server that several gates may use."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,  # a server that was restarted has cut what is in the pool
        pool_timeout=PATIENCE,
        max_overflow=CONNECTIONS,
        connect_args=dict(_CONNECT),
    )
    event.listen(engine, "connect", _as_durable_connection)
    event.listen(engine, "begin", _begin_on_postgresql)
    return engine


def _as_durable_connection(connection: Any, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    with connection.cursor() as cursor:
        # What the server sets is kept where it promises more.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        # A gate that hangs, or a machine that is gone, does not keep the others from writing.
        cursor.execute(f"SET lock_timeout = '{PATIENCE}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{PATIENCE}s'")
    connection.commit()


def _begin_on_postgresql(connection: Connection) -> None:
    if writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_TURN})")


@contextmanager
def repository_turn(url: URL, repository: str) -> Iterator[None]:
    """Hold a repository's own lock on a PostgreSQL server, which goes with the connection, however that ends."""
    key = int.from_bytes(hashlib.sha256(repository.encode()).digest()[:8], "big", signed=True)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args=dict(_CONNECT),
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{HUNG + PATIENCE}s'")
        connection.exec_driver_sql(f"SET idle_session_timeout = '{HUNG}s'")
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        yield
