"""What tests of the gate share: gates as real processes, and small real images."""

from __future__ import annotations

import gzip
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import bcrypt
import pytest
import zstandard
from sqlalchemy import URL

from compliance.attest.keys import generate_key
from compliance.oci.digest import Digest
from compliance.oci.layout import REFERENCE_NAME, Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    OCI_LAYER_ZSTD,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
    RootFs,
    RuntimeConfig,
)
from compliance.oci.registry import Credentials, RegistryClient
from tests.gate.postgres_process import Postgres
from tests.held_port import HeldPort

PASSWORD = "correct horse"
START_SECONDS = 120.0

NOT_ROOT = """\
name: any
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
"""


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an OCI layout of its own."""

    layout: Layout
    descriptor: Descriptor
    manifest: Manifest

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def raw(self) -> bytes:
        return self.layout.read_bytes(self.digest)

    def push_blobs(self, client: RegistryClient, repository: str) -> None:
        for blob in (self.manifest.config, *self.manifest.layers):
            path = self.layout.path(blob.digest)
            client.push_blob(repository, blob.digest, blob.size, lambda path=path: path.open("rb"))

    def push(self, client: RegistryClient, repository: str, target: str | None = None) -> Digest:
        self.push_blobs(client, repository)
        return client.put_manifest(repository, target or self.digest, self.raw, self.descriptor.media_type)


COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    OCI_LAYER_GZIP: lambda data: gzip.compress(data, mtime=0),
    OCI_LAYER_ZSTD: zstandard.compress,
    OCI_LAYER_TAR: bytes,
}

MakeImage = Callable[..., Image]


def tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Makes an image of one layer a mapping of files, running as `user`."""
    made = 0

    def make(
        *layers: Mapping[str, bytes],
        user: str = "65532:65532",
        compression: str = OCI_LAYER_GZIP,
        diff_ids: tuple[Digest, ...] | None = None,
        architecture: str = "amd64",
        command: tuple[str, ...] = ("/app/run",),
    ) -> Image:
        nonlocal made
        made += 1
        layout = Layout.create(tmp_path / f"image-{made}")
        tars = [tar_of(files) for files in layers or ({"app/readme.txt": os.urandom(16)},)]
        blobs = tuple(layout.write_bytes(COMPRESS[compression](tar), compression) for tar in tars)
        config = ImageConfig(
            architecture=architecture,
            os="linux",
            config=RuntimeConfig(user=user, cmd=command),
            rootfs=RootFs(diff_ids=diff_ids or tuple(Digest.of(tar) for tar in tars)),
        )
        manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=blobs)
        stored = layout.write_bytes(manifest.to_json(), manifest.media_type)
        descriptor = stored.model_copy(
            update={
                "platform": Platform(os="linux", architecture=architecture),
                "annotations": {REFERENCE_NAME: "image"},
            }
        )
        layout.write_index((descriptor,))
        return Image(layout, stored, manifest)

    return make


@dataclass
class RunningGate:
    """A gate as a process of its own, which can be killed and started again on the same data."""

    root: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = field(default=None, repr=False)
    _held: HeldPort = field(default_factory=HeldPort, repr=False)

    @property
    def port(self) -> int:
        """The same at every start."""
        return self._held.number

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def policies(self) -> Path:
        return self.root / "policies"

    @property
    def key(self) -> Path:
        """The private half of the key that the gate trusts."""
        return self.root / "key.pem"

    @property
    def log(self) -> str:
        return (self.root / "gate.log").read_text(errors="replace")

    @property
    def storage(self) -> Path:
        """Where the embedded registry keeps its files."""
        return self.data / "registry" / "storage" / "docker" / "registry" / "v2"

    def blob_file(self, digest: Digest) -> Path:
        return self.storage / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex / "data"

    def client(self, user: str = "ci") -> RegistryClient:
        return RegistryClient(self.host, credentials=Credentials(user, PASSWORD))

    def start(self) -> RunningGate:
        self._log = (self.root / "gate.log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from gate.cli import main; main()", "serve"),
                *("--listen", f"127.0.0.1:{self.port}", "--data", str(self.data)),
                *("--policies", str(self.policies), "--bases", str(self.root / "bases")),
                *("--trusted-keys", str(self.root / "keys"), "--users", str(self.root / "users.yaml")),
                *self.options,
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **self.environment},
        )
        deadline = time.monotonic() + START_SECONDS
        while re.search(r"listening on https?://", self.log) is None:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return self

    def end(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """Stop the gate; returns its exit code, None when it did not run."""
        status = None
        if self.process is not None:
            self.process.send_signal(how)
            status = self.process.wait(timeout=120)
            self.process = None
        if self._log is not None:
            self._log.close()
            self._log = None
        return status


# By the weakest hash that is taken: the strong ones are slow on purpose, at every start and login.
_HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = f"users: {{ci: {{role: pusher, bcrypt: {_HASH}}}, pod: {{role: puller, bcrypt: {_HASH}}}}}\n"
StartGate = Callable[..., RunningGate]


def prepare(
    root: Path,
    policies: Mapping[str, str],
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> RunningGate:
    for name in ("policies", "bases", "keys"):
        (root / name).mkdir(parents=True)
    for name, text in policies.items():
        path = root / "policies" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (root / "users.yaml").write_text(USERS)
    generate_key(root / "key.pem", root / "keys" / "ci.pem")
    return RunningGate(root, options, environment=environment or {})


@pytest.fixture(scope="module")
def module_gate() -> Iterator[Callable[..., RunningGate]]:
    """Starts gates that end with the tests of the file."""
    started: list[RunningGate] = []

    def start(
        root: Path, policies: Mapping[str, str], environment: Mapping[str, str] | None = None
    ) -> RunningGate:
        started.append(prepare(root, policies, environment=environment))
        return started[-1].start()

    yield start
    for running in started:
        running.end()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, module_gate: Callable[..., RunningGate]) -> RunningGate:
    """A gate with a registry of its own, whose only rule is that images do not run as root."""
    return module_gate(tmp_path_factory.mktemp("gate"), {"any.yaml": NOT_ROOT})


@pytest.fixture
def start_gate(tmp_path: Path) -> Iterator[StartGate]:
    """Starts gates that end with the test."""
    started: list[RunningGate] = []

    def start(*options: str, policies: Mapping[str, str] | None = None) -> RunningGate:
        running = prepare(tmp_path / f"gate-{len(started)}", policies or {"any.yaml": NOT_ROOT}, options)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests of this process."""
    server = Postgres().start()
    yield server
    server.end()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.acceptance)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | URL:
    """Where an empty database is: one of each kind in turn."""
    if request.param == "sqlite":
        return tmp_path / "gate.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()
