"""A gate's pages, served in this process from a store that is filled beforehand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from benchmarks.seeding import seed
from compliance.oci.digest import Digest
from gate.app import make_app, open_service
from gate.identity.permissions import Role
from gate.identity.users import set_user
from gate.settings import Settings
from gate.store import Store
from tests.gate.conftest import NOT_ROOT, PASSWORD
from tests.gate.identity.oidc_issuer import CLIENT_SECRET, TestIssuer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"
"""A registry that is not there; pages need none."""

WAIVER = f"""\
rule: not-root
key: user
owner: team@example.com
reason: It is looked at.
created: {NOW.date()}
expires: {NOW.date() + timedelta(days=5)}
scope: {{repositories: ["fraud/**"]}}
"""
POLICIES = {"any.yaml": NOT_ROOT, "waivers/user.yaml": WAIVER}
"""None of the seeded images can be judged by these, so that all stay as they were seeded."""

CRITICAL = """\
name: serving
rules:
  - id: no-known
    check: vulnerabilities
    with: {severities: [critical]}
    effect: deny
    why: What can be exploited from the network is, within days.
    fix: Run `mlbuild fix`.
"""
"""All seeded images keep this: what is known of them is high."""


@dataclass
class Site:
    """Where the pages are, and what is on them."""

    url: str
    root: Path
    images: Sequence[tuple[str, Digest]]
    clock: list[datetime]

    @contextmanager
    def visitor(self, user: str | None = None) -> Iterator[httpx.Client]:
        """Somebody who has logged in by the form, or has not."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            if user is not None:
                answer = client.post("/login", data={"name": user, "password": PASSWORD, "next": "/"})
                assert answer.status_code == 303, answer.text
            yield client


def served(
    root: Path, images: int, clock: list[datetime], policies: Mapping[str, str] = POLICIES
) -> Iterator[Site]:
    """A site with so many images, until it is let go."""
    for name in ("policies/waivers", "bases", "keys", "data"):
        (root / name).mkdir(parents=True)
    for name, text in policies.items():
        (root / "policies" / name).write_text(text)
    users = root / "users.yaml"
    set_user(users, "root", Role.ADMIN, PASSWORD, rounds=4)
    set_user(users, "narrow", Role.PULLER, PASSWORD, ("fraud/**",), rounds=4)
    store = Store(root / "data" / "gate.db", lambda: clock[0])
    made = seed(store, images, clock[0])
    store.close()
    settings = Settings(
        upstream=NOWHERE,
        data=root / "data",
        policies=root / "policies",
        bases=root / "bases",
        trusted_keys=root / "keys",
        users=users,
        rejudge=3600,
        reconcile=3600,
    )
    started, ports = threading.Event(), list[int]()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with open_service(settings, lambda: clock[0]) as service:
            server = uvicorn.Server(uvicorn.Config(make_app(service), port=0, log_config=None, lifespan="off"))
            servers.append(server)
            serving = asyncio.create_task(server.serve())
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            ports.append(server.servers[0].sockets[0].getsockname()[1])
            started.set()
            await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(120)
    try:
        yield Site(f"http://127.0.0.1:{ports[0]}", root, made, clock)
    finally:
        servers[0].should_exit = True
        thread.join(120)


LOGIN = """\
login:
  - name: corp
    title: Example SSO
    issuer: {issuer}
    client_id: mlgate
    client_secret_file: {secret}
    grants:
      - when: {{groups: ml-security}}
        role: security
        repositories: ["**"]
      - when: {{email: "*@example.org"}}
        role: puller
        repositories: ["fraud/**"]
"""


def let_in_by(site: Site, issuer: TestIssuer) -> None:
    """Have people log in by a provider."""
    secret = site.root / "client-secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    (site.root / "data" / "access.yaml").write_text(LOGIN.format(issuer=issuer.url, secret=secret))
    at = int(NOW.timestamp())
    issuer.changed = {"iat": at, "nbf": None, "exp": at + 300}
    issuer.people = {
        "alice": {"sub": "1234", "groups": ["staff", "ml-security"], "email": "alice@example.org"},
        "bob": {"sub": "5678", "email": "bob@example.org", "email_verified": True},
        "eve": {"sub": "9012", "email": "eve@example.org"},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("pages"), 120, [NOW])
