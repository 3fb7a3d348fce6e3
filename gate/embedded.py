"""The embedded registry: CNCF distribution on a loopback port, kept running for as long as the gate runs.

Only the gate can use it: it has one user with a password made at each start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import Final

import aiohttp
import bcrypt

from compliance.errors import Unavailable
from compliance.oci.credentials import Credentials

PROGRAM: Final = "docker-registry"
_START_SECONDS: Final = 60.0
_PATIENCE: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds to wait before the registry is started again, by how often it died in a row."""

log = logging.getLogger(__name__)


class EmbeddedRegistry:
    """A `docker-registry` process on `directory`. Use it in an `async with`; it ends with the block.

    `secret` seals its uploads: with the same one, those under way outlive a restart.
    """

    def __init__(self, directory: Path, secret: bytes) -> None:
        self._directory = directory
        self._secret = secret
        self._held = _held_port()
        self._port: int = self._held.getsockname()[1]
        self.credentials = Credentials("gate", secrets.token_urlsafe(32))
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def __aenter__(self) -> EmbeddedRegistry:
        try:
            await self._begin()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._end()

    async def _begin(self) -> None:
        if shutil.which(PROGRAM) is None:
            raise Unavailable(
                f"{PROGRAM} is not installed",
                remedy="Install it (Debian: apt-get install docker-registry), or name a registry: --upstream URL",
            )
        config = self._configure()
        self._process = await self._start(config)
        await self._wait_until_ready(self._process)
        self._watch = asyncio.create_task(self._keep_running(config))

    async def _end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._stop()
        self._held.close()

    def _configure(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        passwords = self._directory / "htpasswd"
        # A random password needs no slow hash, and the registry checks it on every request.
        hashed = bcrypt.hashpw(self.credentials.password.encode(), bcrypt.gensalt(rounds=4)).decode()
        passwords.write_text(f"{self.credentials.username}:{hashed}\n")
        passwords.chmod(0o600)
        config = self._directory / "config.json"  # the registry reads YAML, which JSON is
        config.write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "log": {"level": "warn", "accesslog": {"disabled": True}},
                    "storage": {
                        "filesystem": {"rootdirectory": str(self._directory / "storage")},
                        "cache": {"blobdescriptor": "inmemory"},
                        "delete": {"enabled": True},
                    },
                    "http": {"addr": f"127.0.0.1:{self._port}", "secret": self._secret.hex()},
                    "auth": {"htpasswd": {"realm": "gate", "path": str(passwords)}},
                },
                indent=2,
            )
        )
        return config

    async def _start(self, config: Path) -> Process:
        command = [PROGRAM, "serve", str(config)]
        if shutil.which("setpriv") is not None:
            # Even a gate that is killed outright takes its registry with it.
            command = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        with (self._directory / "registry.log").open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    async def _wait_until_ready(self, process: Process) -> None:
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/v2/"):
                        return
                if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(
                        "the embedded registry does not start", remedy=f"See {self._directory / 'registry.log'}."
                    )
                await asyncio.sleep(0.05)

    async def _keep_running(self, config: Path) -> None:
        deaths = 0
        while True:
            assert self._process is not None  # noqa: S101 - set before this task starts
            started = asyncio.get_running_loop().time()
            status = await self._process.wait()
            lived = asyncio.get_running_loop().time() - started
            deaths = 0 if lived > 60 else deaths + 1
            pause = _PATIENCE[min(deaths, len(_PATIENCE)) - 1] if deaths else _PATIENCE[0]
            log.error("the embedded registry ended with status %s; starting it again in %s s", status, pause)
            await asyncio.sleep(pause)
            self._process = await self._start(config)

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _held_port() -> socket.socket:
    """A socket on a free port of the loopback. While it is open nobody else is given the port, and the registry,
    which reuses addresses, listens on it all the same."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
