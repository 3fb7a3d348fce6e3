"""A CNCF distribution of the test's own, to stand behind a gate."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient, RegistryError
from tests.held_port import HeldPort


class Registry:
    """A process on `root`, that deletes nothing, as is its default, unless `deletes` says so."""

    def __init__(self, root: Path, *, deletes: bool = False) -> None:
        root.mkdir()
        self.storage = root / "storage"
        self._held = HeldPort()
        self.port = self._held.number
        self._config = root / "config.yml"
        self._config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {self.storage}}}\n"
            f"  delete: {{enabled: {str(deletes).lower()}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}', secret: of-the-test}}\n"
        )
        self._log = root / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def blob_file(self, digest: Digest) -> Path:
        """Where the registry keeps a blob's bytes."""
        blobs = self.storage / "docker" / "registry" / "v2" / "blobs"
        return blobs / digest.algorithm / digest.hex[:2] / digest.hex / "data"

    def client(self) -> RegistryClient:
        return RegistryClient(f"127.0.0.1:{self.port}")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", self._config], stdout=log, stderr=log)
        with self.client() as client:
            eventually(lambda: _answers(client))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def collect_garbage(self) -> None:
        """Remove every blob that no manifest names; the registry must not be running."""
        subprocess.run(["docker-registry", "garbage-collect", self._config], check=True, capture_output=True)


def _answers(client: RegistryClient) -> bool:
    try:
        client.ping()
    except (Unavailable, RegistryError):
        return False
    return True


def eventually(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
