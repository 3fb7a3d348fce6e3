"""That however many ask whether a gate is ready, it looks once in a while."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from gate.app import make_app, open_service
from gate.identity.permissions import Role
from gate.identity.users import set_user
from gate.readiness import Readiness
from gate.settings import Settings
from tests.gate.conftest import NOT_ROOT, PASSWORD


@pytest.fixture
def registry() -> Iterator[tuple[str, list[str]]]:
    """Something that answers as a registry does, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_many_questions_are_one_look(registry, tmp_path):
    url, asked = registry
    for name in ("policies", "bases", "keys", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "policies" / "any.yaml").write_text(NOT_ROOT)
    set_user(tmp_path / "data" / "users.yaml", "root", Role.ADMIN, PASSWORD)
    settings = Settings(
        upstream=url,
        data=tmp_path / "data",
        policies=tmp_path / "policies",
        bases=tmp_path / "bases",
        trusted_keys=tmp_path / "keys",
    )
    seconds = [100.0]

    async def run() -> None:
        async with open_service(settings, lambda: datetime.now(UTC)) as service:
            readiness = Readiness(service.store, service.upstream, service.admission, lambda: seconds[0])
            begun = len(asked)
            found = await asyncio.gather(*(readiness.found() for _ in range(50)))
            assert len(asked) == begun + 1
            assert all(one is found[0] for one in found)
            seconds[0] += 0.9
            assert await readiness.found() is found[0]
            seconds[0] += 0.2
            assert await readiness.found() is not found[0]
            assert len(asked) == begun + 2
            seconds[0] += 1.1
            transport = httpx.ASGITransport(make_app(replace(service, readiness=readiness)))
            async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
                await client.get("/readyz")
                service.pushes.stop()
                answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["checks"]["accepting"]) == (503, "failed")
            assert len(asked) == begun + 3

    asyncio.run(run())
