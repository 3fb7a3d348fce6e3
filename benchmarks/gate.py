"""What the gate costs: the same pushes and pulls on a bare registry and through the gate, in one run.

Both registries are CNCF distribution on loopback with a file system below; the gate runs its own behind it.
Blobs are random bytes that no compression shrinks. Each round has a 1 GB image of its own; the servers take
turns, and medians are printed:

- push and pull of the image's blobs, one after the other on one connection, in MB/s; pulls once from the registry
  behind the gate and once more after admission, when the gate has read the blobs itself; and the processor time
  of server and registry together, which other work on the machine changes less
- admission of the image when nothing of it is known, and with one layer of it changed
- a manifest GET by digest at 200 requests a second, p50 and p99, and what the gate adds; and the same while the
  gate reads an image of 50,000 small files
- the gate's memory, at its highest: before, after pushes and pulls of the first image, and at the end

Run as `make bench-gate`. `--megabytes N` takes another size, `--rounds N` repeats more or less often.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp

from benchmarks.gate_images import CHUNK, LAYERS, Image, image_of_many_files, make_image
from benchmarks.gate_servers import AUTHORIZATION, Server, bare_registry, gate
from benchmarks.measure import machine, seconds
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_MANIFEST

REQUESTS_A_SECOND: Final = 200
SECONDS: Final = 10
MANY_FILES: Final = 50_000
CONNECTIONS: Final = 8
REPOSITORY: Final = "bench/image"


def push_blobs(server: Server, image: Image) -> None:
    """Push what the server lacks, as clients do: asking first, then each blob in one request."""
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


@dataclass
class Transfers:
    """One kind of transfer, measured on the bare registry and on the gate: MB/s, and processor seconds a GB."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, servers: Sequence[Server], image: Image, transfer: Callable[[Server, Image], None]) -> None:
        for server in servers:
            before = server.processor
            taken = seconds(lambda server=server: transfer(server, image))
            self.rates.setdefault(server.name, []).append(image.size / taken / 1e6)
            self.costs.setdefault(server.name, []).append((server.processor - before) / image.size * 1e9)

    def report(self, label: str) -> None:
        for unit, values in (("MB/s", self.rates), ("processor s/GB", self.costs)):
            bare, front = (statistics.median(each) for each in values.values())
            row(f"{label}, {unit}", bare, front, f"{front / bare:.2f}x" if bare else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=1024, help="size of an image (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how many images, each measured once (default 3)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlgate-bench-") as name, contextlib.ExitStack() as stack:
        root = Path(name)
        bare, front = (
            stack.enter_context(run(root / where)) for where, run in (("bare", bare_registry), ("gate", gate))
        )
        print(f"{machine()}; images of {given.megabytes} MB in {LAYERS} layers, all on loopback", end="")
        print(f"; medians of {given.rounds}\n")
        report(bare, front, Layout.create(root / "image"), given.megabytes, given.rounds)


def report(bare: Server, front: Server, layout: Layout, megabytes: int, rounds: int) -> None:
    pushes, through, admitted = Transfers(), Transfers(), Transfers()
    servers, memory = (bare, front), [front.peak]
    cold, warm = [], []
    for _ in range(rounds):
        image = make_image(layout, megabytes)
        pushes.measure(servers, image, push_blobs)
        through.measure(servers, image, pull_blobs)
        memory.append(front.peak)
        push_manifest(bare, image)
        cold.append(seconds(lambda image=image: push_manifest(front, image)))
        admitted.measure(servers, image, pull_blobs)
        changed = make_image(layout, megabytes, image.manifest.layers[:-1])
        push_blobs(front, changed)
        warm.append(seconds(lambda changed=changed: push_manifest(front, changed)))
    row("", bare.name, front.name, "gate / bare")
    pushes.report("push")
    through.report("pull before admission")
    admitted.report("pull after admission")
    report_latencies(bare, front, image, image_of_many_files(layout, MANY_FILES))
    print(f"\nadmission, nothing known:      {statistics.median(cold):.2f} s")
    print(f"admission, one layer changed:  {statistics.median(warm):.2f} s")
    after = ", ".join(f"{peak:.0f}" for peak in memory[1:])
    print(f"memory of the gate, at most:   {memory[0]:.0f} MB at the start; after push and pull of each image")
    print(f"                               {after} MB; {front.peak:.0f} MB at the end")


def report_latencies(bare: Server, front: Server, image: Image, large: Image) -> None:
    found = [asyncio.run(latencies(server, image.descriptor.digest)) for server in (bare, front)]
    for share in (0.5, 0.99):
        times = [percentile(values, share) for values in found]
        label = f"manifest GET at {REQUESTS_A_SECOND}/s, p{share * 100:.0f}, ms"
        row(label, *times, f"{times[1] - times[0]:+.2f} ms")
    push_blobs(front, large)
    judging = threading.Thread(target=push_manifest, args=(front, large))
    judging.start()
    busy = asyncio.run(latencies(front, image.descriptor.digest))
    judging.join()
    for share in (0.5, 0.99):
        row(f"the same while judging, p{share * 100:.0f}, ms", "", percentile(busy, share), "")


def row(label: str, *cells: float | str) -> None:
    shown = [cell if isinstance(cell, str) else f"{cell:.2f}" if cell < 100 else f"{cell:.0f}" for cell in cells]
    print(label.ljust(40) + "".join(cell.rjust(16) for cell in shown), flush=True)


if __name__ == "__main__":
    main()
