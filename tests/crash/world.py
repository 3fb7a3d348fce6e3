"""A real gate on SQLite, a real registry behind it, and everything around them that can go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from compliance.attest.keys import generate_key
from compliance.scan.trivy import Trivy
from gate.identity.permissions import Role
from gate.identity.users import set_user
from tests.crash.proxy import Proxy
from tests.gate.conftest import PASSWORD
from tests.gate.registry_process import Registry
from tests.held_port import HeldPort

DISK_BYTES: Final = 48 << 20
START_SECONDS: Final = 120.0

POLICY: Final = """\
name: any
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
  - id: no-known-critical
    check: vulnerabilities
    with: {severities: [critical]}
    effect: deny
    why: Known holes are used.
    fix: Take a newer release.
"""
STRICTER: Final = (
    POLICY
    + """\
  - id: has-an-owner
    check: required-labels
    with: {labels: {owner: "?*"}}
    effect: deny
    why: Somebody must answer for it.
    fix: Set the label.
"""
)
POLICIES: Final = {"plain": POLICY, "stricter": STRICTER, "broken": POLICY.replace("effect:", "efect:")}

ADVISORY: Final = """\
{"id": "GHSA-0000-0000-0000", "modified": "2024-01-01T00:00:00Z", "summary": "What can happen.",
 "affected": [{"package": {"ecosystem": "PyPI", "name": "alpha"},
               "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]}]}],
 "database_specific": {"severity": "CRITICAL"}}
"""

SCANNER: Final = """\
#!/bin/sh
# The scanner, as long as nothing else is wanted of it.
mode=$(cat {control}/mode)
case $mode in
fails) echo "out of order" >&2; exit 1 ;;
babbles) echo "{{"; exit 0 ;;
hangs-in-*) case "$*" in *"${{mode#hangs-in-}}"*) echo $$ >{control}/hanging; exec sleep 600 ;; esac ;;
esac
exec {trivy} "$@"
"""


class World:
    """Everything in `root`, which whoever made it empties. Use it in a `with`."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.data = root / "data"
        self.scanner = Scanner(root / "scanner")
        self.registry = Registry(root / "registry", deletes=True)
        self.registry.start()
        self.proxy = Proxy(self.registry.port)
        self.disk = Disk(self.data)
        self.clock = root / "clock"
        self.advance(0)
        for name in ("policies/advisories", "bases", "keys"):
            (root / name).mkdir(parents=True)
        (root / "policies" / "advisories" / "GHSA-0000-0000-0000.json").write_text(ADVISORY)
        self.set_policy("plain")
        set_user(root / "users.yaml", "ci", Role.PUSHER, PASSWORD, rounds=4)
        set_user(root / "users.yaml", "pod", Role.PULLER, PASSWORD, rounds=4)
        set_user(root / "users.yaml", "keeper", Role.ADMIN, PASSWORD, rounds=4)
        generate_key(root / "key.pem", root / "keys" / "ci.pem")
        self._held = HeldPort()
        self._process: subprocess.Popen[bytes] | None = None
        self.logs: list[Path] = []

    def __enter__(self) -> World:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        self.scanner.set("works")
        self.scanner.let_go()
        self.proxy.close()
        self.registry.stop()
        self.disk.close()

    @property
    def repositories(self) -> Path:
        """Where the registry keeps what is in which repository."""
        return self.registry.storage / "docker" / "registry" / "v2" / "repositories"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._held.number}"

    @property
    def log(self) -> str:
        return self.logs[-1].read_text(errors="replace") if self.logs else ""

    def client(self, user: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=(user, PASSWORD), timeout=60)

    def set_policy(self, name: str) -> None:
        target = self.root / "policies" / "any.yaml"
        new = target.with_name("new.txt")
        new.write_text(POLICIES[name])
        new.replace(target)

    def advance(self, seconds: float) -> None:
        """Put the gate's clock so far off."""
        new = self.root / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.clock)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the gate without waiting for it."""
        self.logs.append(self.root / f"gate-{len(self.logs)}.log")
        settings = {
            "listen": f"127.0.0.1:{self._held.number}",
            "upstream": f"http://127.0.0.1:{self.proxy.port}",
            "data": self.data,
            "policies": self.root / "policies",
            "bases": self.root / "bases",
            "trusted_keys": self.root / "keys",
            "users": self.root / "users.yaml",
            "trivy": self.scanner.program,
            "patience": 8,
            "reconcile": 1,
            "uploads_kept": 2,
        }
        environment = {f"MLGATE_{name.upper()}": str(value) for name, value in settings.items()}
        with self.logs[-1].open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.gate_process"],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment, "CRASH_CLOCK": str(self.clock)},
            )

    def wait(self) -> None:
        """Wait until the gate that was launched listens."""
        deadline = time.monotonic() + START_SECONDS
        while "listening on http://" not in self.log:
            if not self.runs or time.monotonic() > deadline:
                raise AssertionError(f"the gate does not start:\n{self.log}")
            time.sleep(0.02)

    def start(self) -> None:
        if not self.runs:
            self.launch()
            self.wait()

    def kill(self) -> None:
        """SIGKILL, whatever the gate is doing."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=90)
            self._process = None


class Scanner:
    """Trivy, behind a program that fails, babbles or hangs when it is told to."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.program = directory / "trivy"
        trivy = Trivy.find(directory)
        self.program.write_text(SCANNER.format(control=directory, trivy=trivy.binary))
        self.program.chmod(0o755)
        self.set("works")

    def set(self, mode: str) -> None:
        new = self._directory / "mode.new"
        new.write_text(mode)
        new.replace(self._directory / "mode")

    @property
    def hanging(self) -> int | None:
        """The process that hangs, if one does."""
        try:
            pid = int((self._directory / "hanging").read_text())
        except (FileNotFoundError, ValueError):
            return None
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return None
        return None if state == "Z" else pid

    def let_go(self) -> None:
        """End the process that hangs."""
        pid = self.hanging
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (self._directory / "hanging").unlink(missing_ok=True)


class Disk:
    """A small file system at `path`, where this process may mount one. `why_not` says what keeps it from that."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self._path = path
        self.why_not: str | None = None
        if os.geteuid() != 0:
            self.why_not = "only root can mount a small disk"
            return
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.why_not = f"a small disk cannot be mounted here: {done.stderr.strip()}"

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        """Leave so many bytes on the disk until the block ends."""
        filler = self._path / "filler"
        status = os.statvfs(self._path)
        size = max(0, status.f_bavail * status.f_frsize - left)
        with filler.open("wb") as stream, suppress(OSError):
            os.posix_fallocate(stream.fileno(), 0, size)
        try:
            yield
        finally:
            filler.unlink()

    def close(self) -> None:
        if self.why_not is None:
            subprocess.run(["umount", "-l", str(self._path)], check=True)
