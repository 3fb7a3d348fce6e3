"""How long the gate takes to answer with a page, from a store of 10,000 images: what it does, without the network.

Each image has 30 layers and six packages. Each page is asked for as somebody who sees every repository and as
somebody who sees a part. In the end a policy is tried out on all of them. Run as `make bench-pages`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from benchmarks.measure import machine
from benchmarks.seeding import NO_HIGH, seed
from gate.app import make_app, open_service
from gate.identity.permissions import Role
from gate.identity.users import set_user
from gate.settings import Settings
from gate.store import Store

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOAL_MS: Final = 200.0
PASSWORD: Final = "made up"  # noqa: S105
PAGES: Final = (
    "/",
    "/images",
    "/images?verdict=refused",
    "/decisions",
    "/packages?name=numpy",
    "/waivers",
    "/audit",
)
READERS: Final = {"all": (Role.ADMIN, ("**",)), "part": (Role.SECURITY, ("fraud/**",))}


def settings_in(root: Path) -> Settings:
    """A gate whose registry is not there; pages need none."""
    for name in ("bases", "keys", "data"):
        (root / name).mkdir()
    for name, (role, repositories) in READERS.items():
        set_user(root / "users.yaml", name, role, PASSWORD, repositories)
    return Settings(
        upstream="http://127.0.0.1:9",
        data=root / "data",
        bases=root / "bases",
        trusted_keys=root / "keys",
        users=root / "users.yaml",
        rejudge=86400,
        reconcile=86400,
    )


async def measure(settings: Settings, images: tuple[str, ...], rounds: int) -> None:
    """Print the median and the slowest answer of each page."""
    async with open_service(settings, lambda: NOW) as service:
        service.admission.problems()  # what a gate looks for when it starts is not what is measured
        transport = httpx.ASGITransport(make_app(service))
        for reader in READERS:
            async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
                answer = await client.post("/login", data={"name": reader, "password": PASSWORD})
                assert answer.status_code == 303, answer.text
                for address in (*PAGES, *images):
                    times = [await _milliseconds(client, address) for _ in range(rounds)]
                    name = "/images/NAME@DIGEST" if address in images else address
                    median, most = statistics.median(times), max(times)
                    print(f"{reader:<6} {name:<26} median {median:6.1f} ms, most {most:6.1f} ms")


async def try_out(settings: Settings) -> None:
    """Print what it takes to try a policy out on all images."""
    async with open_service(settings, lambda: NOW) as service:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://gate", timeout=600) as client:
            await client.post("/login", data={"name": "all", "password": PASSWORD})
            begin = time.perf_counter()
            answer = await client.post("/impact", files={"policies": ("strict.yaml", NO_HIGH)})
            address, slowest = answer.headers["Location"], 0.0
            while "Look again" in (page := await client.get(address)).text:
                slowest = max(slowest, await _milliseconds(client, "/images"))
            seconds = time.perf_counter() - begin
            said = next(line for line in page.text.splitlines() if "would change verdict" in line)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(f"\npreview: {seconds:.1f} s, of which {used.ru_utime:.1f} s of processor time;", end=" ")
            print(f"largest process beside the gate {used.ru_maxrss >> 10} MiB")
            print(f"meanwhile /images took {slowest:.1f} ms at most; {said.partition('>')[2].partition('<')[0]}")


async def _milliseconds(client: httpx.AsyncClient, address: str) -> float:
    begin = time.perf_counter()
    answer = await client.get(address)
    assert answer.status_code in {200, 404}, (address, answer.status_code)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_in(Path(directory))
        store = Store(settings.data / "gate.db", lambda: NOW)
        made = seed(store, options.images, NOW)
        store.close()
        print(f"{machine()}; {options.images:,} images; the first page has to come within {GOAL_MS:g} ms\n")
        visible = next(place for place in made if place[0].startswith("fraud/"))
        asyncio.run(measure(settings, (f"/images/{visible[0]}@{visible[1]}",), options.rounds))
        asyncio.run(try_out(settings))


if __name__ == "__main__":
    main()
