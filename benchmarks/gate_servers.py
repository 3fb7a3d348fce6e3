"""The servers that the gate benchmark compares: a bare registry, and a gate with its own behind it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.gate_images import CHUNK

USER, PASSWORD = "bench", "benchmark"
AUTHORIZATION: Final = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}

POLICY: Final = """\
name: bench
rules:
  - {id: not-root, check: non-root, effect: deny, why: Root is root., fix: Set a user.}
  - {id: no-secrets, check: secrets, effect: deny, why: Secrets leak., fix: Remove them.}
  - id: safe-models
    check: model-formats
    with: {refuse-unsafe: true}
    effect: deny
    why: Pickles run code.
    fix: Use safetensors.
"""
ADVISORY: Final = {
    "id": "BENCH-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "A package that nothing contains.",
    "database_specific": {"severity": "LOW"},
    "affected": [{"package": {"ecosystem": "PyPI", "name": "nothing"}, "versions": ["1.0"]}],
}


class Server:
    """A process that listens on loopback and ends with the block."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600, blocksize=CHUNK)
        connection.connect()
        return connection

    @property
    def peak(self) -> float:
        """The most memory the process itself ever had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def processor(self) -> float:
        """Seconds of processor time that the process and those it runs have had, the ended ones included."""
        return sum(_processor(pid) for pid in (self.process.pid, *_children(self.process.pid)))


@contextlib.contextmanager
def bare_registry(root: Path) -> Iterator[Server]:
    root.mkdir()
    port = _free_port()
    (root / "config.json").write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(root / "storage")},
                    "cache": {"blobdescriptor": "inmemory"},
                },
                "http": {"addr": f"127.0.0.1:{port}", "secret": "bench"},
            }
        )
    )
    with _process(["docker-registry", "serve", str(root / "config.json")], root / "log") as process:
        _wait(lambda: _listens(port))
        yield Server("bare registry", process, port)


@contextlib.contextmanager
def gate(root: Path) -> Iterator[Server]:
    for name in ("policies/advisories", "bases", "keys"):
        (root / name).mkdir(parents=True)
    (root / "policies" / "bench.yaml").write_text(POLICY)
    (root / "policies" / "advisories" / "BENCH-1.json").write_text(json.dumps(ADVISORY))
    mlgate = (sys.executable, "-c", "from gate.cli import main; main()")
    user = ("user", "add", USER, "--role", "push", "--password-stdin", "--users", str(root / "users.yaml"))
    subprocess.run([*mlgate, *user], input=PASSWORD.encode(), check=True, stdout=subprocess.DEVNULL)
    command = [
        *(*mlgate, "serve", "--listen", "127.0.0.1:0"),
        *("--data", str(root / "data"), "--policies", str(root / "policies"), "--bases", str(root / "bases")),
        *("--trusted-keys", str(root / "keys"), "--users", str(root / "users.yaml")),
    ]
    log = root / "log"
    with _process(command, log) as process:
        _wait(lambda: "listening on" in log.read_text())
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())
        assert found is not None
        yield Server("gate", process, int(found[1]))


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit("a server does not start")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found = (task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for children in found for child in children]
