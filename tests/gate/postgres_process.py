"""A PostgreSQL of the test's own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from sqlalchemy import URL

from tests.held_port import HeldPort

USER = "gate"
PASSWORD = "of the test / @ %"


def programs() -> Path:
    """Where the server's programs are: Debian keeps them by version, and not on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    assert found or on_path, "there is no PostgreSQL; scripts/setup.sh test installs it"
    return found[-1].parent if found else Path(str(on_path)).parent


class Postgres:
    """A server on a loopback port, which keeps its files in a directory of its own."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="mlgate-postgres-"))
        self._held = HeldPort()
        self.port = self._held.number
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            account = pwd.getpwnam("postgres")
            os.chown(self._root, account.pw_uid, account.pw_gid)

    def start(self) -> Postgres:
        data = self._root / "data"
        if not data.exists():
            password = self._root / "password"
            password.write_text(PASSWORD)
            password.chmod(0o644)
            self._run("initdb", "-D", data, "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._root}"
        self._run("pg_ctl", "-D", data, "-l", self._root / "log", "-w", "-o", options, "start")
        return self

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self._root / "data", "-w", "-m", how, "stop")

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self._root)

    def new_database(self) -> URL:
        """An empty database, whose own language sorts otherwise than by bytes."""
        name = f"gate_{secrets.token_hex(4)}"
        address = self.url("postgres").translate_connect_args(username="user", database="dbname")
        with psycopg.connect(**address, autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, database: str) -> URL:
        return URL.create("postgresql", USER, PASSWORD, "127.0.0.1", self.port, database)

    def _run(self, program: str, *arguments: str | Path) -> None:
        as_postgres: Sequence[str] = ()
        if os.geteuid() == 0:
            as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
        subprocess.run(
            [*as_postgres, programs() / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self._root,
        )
