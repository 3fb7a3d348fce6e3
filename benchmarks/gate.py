"""What the gate costs: the same pushes and pulls on a bare registry and through the gate, in one run.

Both registries are CNCF distribution on loopback with a file system below; the gate runs its own behind it.
Blobs are random bytes that no compression shrinks. Measured:

- push and pull of a 1 GB image's blobs, one connection after the other, in MB/s; pulls once from the registry
  behind the gate and once more after admission, when the gate has read the blobs itself
- a manifest GET by digest at 200 requests a second, p50 and p99, and what the gate adds; and the same while the
  gate reads an image of 50,000 small files
- admission of the image when nothing of it is known, and with one layer of it changed
- the gate's memory, at its highest, before and after

Run as `make bench-gate`. `--megabytes N` takes another size.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp

from benchmarks.measure import machine, seconds
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_TAR,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFs,
    RuntimeConfig,
)
from gate.users import Role, set_user

LAYERS: Final = 10
REQUESTS_A_SECOND: Final = 200
SECONDS: Final = 10
MANY_FILES: Final = 50_000
CONNECTIONS: Final = 8
CHUNK: Final = 1 << 20
USER, PASSWORD = "bench", "benchmark"
REPOSITORY: Final = "bench/image"
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


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an OCI layout. The same layers but the last make the next one."""

    layout: Layout
    manifest: Manifest
    descriptor: Descriptor

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        return (self.manifest.config, *self.manifest.layers)

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


def make_image(layout: Layout, megabytes: int, kept: Sequence[Descriptor] = ()) -> Image:
    each = (megabytes << 20) // LAYERS
    return _image(layout, (*kept, *(_layer(layout, each) for _ in range(LAYERS - len(kept)))))


def image_of_many_files(layout: Layout, count: int) -> Image:
    """One layer of tiny files, as a Python environment is: what takes longest to read by the byte."""
    with tempfile.TemporaryFile(dir=layout.root) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(count):
                member = tarfile.TarInfo(f"opt/venv/lib/package-{number % 500}/module_{number}.py")
                member.size = 20
                archive.addfile(member, io.BytesIO(os.urandom(20)))
        stream.seek(0)
        layer = layout.write_bytes(stream.read(), OCI_LAYER_TAR)
    return _image(layout, (layer,))


def _image(layout: Layout, layers: tuple[Descriptor, ...]) -> Image:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(user="65532"),
        rootfs=RootFs(diff_ids=tuple(layer.digest for layer in layers)),
    )
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    return Image(layout, manifest, layout.write_bytes(manifest.to_json(), OCI_MANIFEST))


def _layer(layout: Layout, size: int) -> Descriptor:
    """A tar of eight files of random bytes; uncompressed, so that its digest is its diffID."""
    with tempfile.NamedTemporaryFile(dir=layout.root) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(8):
                member = tarfile.TarInfo(f"opt/data/{os.urandom(4).hex()}-{number}")
                member.size = size // 8
                archive.addfile(member, _Random(member.size))
        stream.flush()
        stream.seek(0)
        digest = Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())
        layout.add_file(Path(stream.name), digest)
        return Descriptor(media_type=OCI_LAYER_TAR, digest=digest, size=Path(stream.name).stat().st_size)


class _Random(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size
        self._block = os.urandom(CHUNK)

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._left, CHUNK)
        self._left -= count
        return self._block[:count]


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
    set_user(root / "users.yaml", USER, Role.PUSH, PASSWORD)
    command = [
        *(sys.executable, "-c", "from gate.cli import main; main()", "serve", "--listen", "127.0.0.1:0"),
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


def push_blobs(server: Server, image: Image) -> None:
    connection = server.connect()
    for blob in image.blobs:
        connection.request("HEAD", f"/v2/{REPOSITORY}/blobs/{blob.digest}", headers=AUTHORIZATION)
        if _answer(connection, 200, 404) == 200:
            continue
        connection.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/", headers=AUTHORIZATION)
        answer = connection.getresponse()
        answer.read()
        location = str(answer.headers["Location"]).removeprefix(f"http://127.0.0.1:{server.port}")
        target = f"{location}&{urlencode({'digest': blob.digest})}"
        with image.layout.path(blob.digest).open("rb") as stream:
            headers = {**AUTHORIZATION, "Content-Length": str(blob.size)}
            connection.request("PUT", target, body=stream, headers=headers)
            _answer(connection, 201)
    connection.close()


def push_manifest(server: Server, image: Image) -> None:
    connection = server.connect()
    raw = image.layout.read_bytes(image.descriptor.digest)
    target = f"/v2/{REPOSITORY}/manifests/{image.descriptor.digest}"
    connection.request("PUT", target, body=raw, headers={**AUTHORIZATION, "Content-Type": OCI_MANIFEST})
    _answer(connection, 201)
    connection.close()


def pull_blobs(server: Server, image: Image) -> None:
    connection = server.connect()
    buffer = bytearray(CHUNK)
    for blob in image.blobs:
        connection.request("GET", f"/v2/{REPOSITORY}/blobs/{blob.digest}", headers=AUTHORIZATION)
        answer = connection.getresponse()
        received = 0
        while count := answer.readinto(buffer):
            received += count
        if answer.status != 200 or received != blob.size:
            raise SystemExit(f"{server.name}: {answer.status}, {received} of {blob.size} bytes")
    connection.close()


def _answer(connection: http.client.HTTPConnection, *expected: int) -> int:
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in expected:
        raise SystemExit(f"{answer.status}: {text.decode(errors='replace')}")
    return answer.status


async def latencies(server: Server, digest: Digest) -> list[float]:
    """Milliseconds of manifest GETs that start at fixed times, however long the ones before take."""
    url = f"http://127.0.0.1:{server.port}/v2/{REPOSITORY}/manifests/{digest}"
    taken: list[float] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS), headers={**AUTHORIZATION, "Accept": OCI_MANIFEST}
    ) as session:

        async def ask(at: float) -> None:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            async with session.get(url) as answer:
                await answer.read()
                assert answer.status == 200
            taken.append((time.perf_counter() - at) * 1000)

        for warm in (True, False):
            taken.clear()
            begin = time.perf_counter() + 0.1
            count = REQUESTS_A_SECOND * (1 if warm else SECONDS)
            await asyncio.gather(*(ask(begin + number / REQUESTS_A_SECOND) for number in range(count)))
    return taken


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def rate(image: Image, taken: float) -> float:
    return image.size / taken / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the image (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how often blobs are pulled (default 3)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlgate-bench-") as name, contextlib.ExitStack() as stack:
        root = Path(name)
        layout = Layout.create(root / "image")
        bare, front = (
            stack.enter_context(run(root / where)) for where, run in (("bare", bare_registry), ("gate", gate))
        )
        images = [make_image(layout, given.megabytes)]
        for _ in range(2):
            images.append(make_image(layout, given.megabytes, images[0].manifest.layers[:-1]))
        images.append(image_of_many_files(layout, MANY_FILES))
        print(f"{machine()}; image of {given.megabytes} MB in {LAYERS} layers, all on loopback\n")
        report(bare, front, images, given.rounds)


def report(bare: Server, front: Server, images: Sequence[Image], rounds: int) -> None:
    first = images[0]
    before = front.peak
    row("", bare.name, front.name, "gate / bare")
    pushed = [rate(first, seconds(lambda server=server: push_blobs(server, first))) for server in (bare, front)]
    row("push, MB/s", *pushed, f"{pushed[1] / pushed[0]:.2f}x")
    through = pulls((bare, front), first, rounds)
    row("pull before admission, MB/s", *through, f"{through[1] / through[0]:.2f}x")
    push_manifest(bare, first)
    cold = seconds(lambda: push_manifest(front, first))
    read = pulls((bare, front), first, rounds)
    row("pull after admission, MB/s", *read, f"{read[1] / read[0]:.2f}x")
    found = [asyncio.run(latencies(server, first.descriptor.digest)) for server in (bare, front)]
    for share in (0.5, 0.99):
        times = [percentile(values, share) for values in found]
        label = f"manifest GET at {REQUESTS_A_SECOND}/s, p{share * 100:.0f}, ms"
        row(label, *times, f"{times[1] - times[0]:+.2f} ms")
    warm = []
    for image in images[1:3]:
        push_blobs(front, image)
        warm.append(seconds(lambda image=image: push_manifest(front, image)))
    push_blobs(front, images[3])
    judging = threading.Thread(target=push_manifest, args=(front, images[3]))
    judging.start()
    busy = asyncio.run(latencies(front, first.descriptor.digest))
    judging.join()
    for share in (0.5, 0.99):
        row(f"the same while judging, p{share * 100:.0f}, ms", "", percentile(busy, share), "")
    print(f"\nadmission, nothing known:      {cold:.2f} s")
    print(f"admission, one layer changed:  {statistics.median(warm):.2f} s")
    print(f"memory of the gate, at most:   {before:.0f} MB before, {front.peak:.0f} MB after")


def pulls(servers: Sequence[Server], image: Image, rounds: int) -> list[float]:
    """The median rate of each server, the servers taking turns."""
    taken: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            taken[server.name].append(rate(image, seconds(lambda server=server: pull_blobs(server, image))))
    return [statistics.median(values) for values in taken.values()]


def row(label: str, *cells: float | str) -> None:
    shown = [cell if isinstance(cell, str) else f"{cell:.2f}" if cell < 100 else f"{cell:.0f}" for cell in cells]
    print(label.ljust(34) + "".join(cell.rjust(16) for cell in shown), flush=True)


if __name__ == "__main__":
    main()
