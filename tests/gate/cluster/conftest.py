"""A webhook over a real database and real policies, in which the images of the questions in data/ are known."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST
from compliance.policy.decision import Mode, Verdict
from compliance.policy.loader import load_policies
from gate.cluster.cluster_file import watch_cluster
from gate.cluster.reviews import Reviews
from gate.cluster.verdicts import Verdicts
from gate.cluster.webhook import make_webhook
from gate.deadlines import Causes
from gate.readable import Readable
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.store import Store
from gate.telemetry.metrics import Metrics

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = Digest.of(b"rules")
PUBLIC_URL = "https://gate.example.com:5000"

POLICIES = """\
name: {name}
applies-to: {{stages: [{stages}], repositories: ["{name}/**"]}}
rules:
  - {{id: {name}-not-root, check: non-root, effect: deny, why: Root is root., fix: "Set `user: nonroot`."}}
"""
CLUSTER = """\
listen: 127.0.0.1:0
certificate: tls.crt
key: tls.key
registries: [gate.example.com:5000]
audit: [scratch]
others:
  - images: [docker.io/istio/proxyv2]
    stages: [serving]
    why: The mesh puts its proxy beside every container.
"""
HOLE = "no-known-critical: CVE-2026-0001 in starlette 0.38.6 -> Raise starlette to 0.40.0"


@dataclass(frozen=True, slots=True)
class Site:
    """A webhook and what it goes by, which tests may change."""

    root: Path
    store: Store
    metrics: Metrics
    app: object

    @property
    def cluster_file(self) -> Path:
        return self.root / "cluster.yaml"

    def ask(self, path: str, body: bytes) -> httpx.Response:
        """What is answered to a question at /cluster/<path>."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="https://mlgate.mlbuild.svc") as client:
                return await client.post(f"/cluster/{path}?timeout=5s", content=body)

        return asyncio.run(run())


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of all that a webhook goes by."""
    root = tmp_path_factory.mktemp("cluster")
    (root / "policies").mkdir()
    for name, stages in {"serving": "serving, scratch", "training": "training"}.items():
        (root / "policies" / f"{name}.yaml").write_text(POLICIES.format(name=name, stages=stages))
    (root / "cluster.yaml").write_text(CLUSTER)
    with closing(Store(root / "gate.db")) as store:
        _fill(store)
    return root


@pytest.fixture(scope="module")
def unchanged_site(filled: Path) -> Iterator[Site]:
    """A webhook of which the test changes nothing."""
    with _opened(filled) as site:
        yield site


@pytest.fixture
def site(filled: Path, tmp_path: Path) -> Iterator[Site]:
    """A webhook with files of its own."""
    shutil.copytree(filled, tmp_path / "site")
    with _opened(tmp_path / "site") as site:
        yield site


@contextmanager
def _opened(root: Path) -> Iterator[Site]:
    with closing(Store(root / "gate.db")) as store:
        verdicts = Verdicts(
            Readable(store, lambda: AT), store, lambda: load_policies(root / "policies"), PUBLIC_URL
        )
        metrics = Metrics()
        app = make_webhook(Reviews(verdicts, watch_cluster(root / "cluster.yaml")), metrics)
        yield Site(root, store, metrics, app)


def _fill(store: Store) -> None:
    refusal = "REFUSED serving/iris: not-root: the image runs as root -> Set `user: nonroot`."
    _decide(store, "b1", "serving/iris", b'{"image":"refused"}', tag="v2", line=refusal)
    _admit(store, "a1", "serving/iris", b'{"image":"admitted"}')
    _admit(store, "a2", "training/churn", b'{"image":"training"}')
    _admit(store, "a3", "serving/model", b'{"model":1}', kind=Kind.ARTIFACT)
    _decide(store, "c1", "serving/audited", b"{}", mode=Mode.AUDIT, line=refusal.replace("iris", "audited"))
    _publish(store, "c1", "serving/audited", b"{}", audited=True)
    for name, days in {"warned": 7, "ended": -1}.items():
        admitted = _admit(store, f"d-{name}", f"serving/{name}", f'{{"image":"{name}"}}'.encode())
        due = next(one for one in store.due.claim(RULES, AT, 10) if one.manifest.digest == admitted)
        until = AT + timedelta(days=days)
        line = f"REFUSED serving/{name}: {HOLE}."
        later = _decision(f"e-{name}", f"serving/{name}", admitted, line=line, later=True)
        assert store.due.note(due, RULES, AT, until=until, causes=Causes(), decision=later)


def _admit(store: Store, id_: str, repository: str, raw: bytes, kind: Kind = Kind.IMAGE) -> Digest:
    _decide(store, id_, repository, raw, verdict=Verdict.ADMITTED, line=f"ADMITTED {repository}")
    return _publish(store, id_, repository, raw, kind=kind)


def _publish(
    store: Store, id_: str, repository: str, raw: bytes, *, kind: Kind = Kind.IMAGE, audited: bool = False
) -> Digest:
    manifest = StoredManifest(
        repository=repository,
        digest=Digest.of(raw),
        media_type=OCI_MANIFEST,
        kind=kind,
        raw=raw,
        subject=None,
        decision=id_,
        at=AT,
        audited=audited,
    )
    store.publish(manifest, [], "v1")
    return manifest.digest


def _decide(store: Store, id_: str, repository: str, raw: bytes, **more: object) -> None:
    store.record(_decision(id_, repository, Digest.of(raw), **more))


def _decision(id_: str, repository: str, digest: Digest, **more: object) -> StoredDecision:
    unimportant = {"inputs": RULES, "policy_digest": RULES, "evidence_digest": RULES, "databases": ""}
    given = {"tag": "v1", "user": "ci", "at": AT, "verdict": Verdict.REFUSED, "decision": b"{}", "evidence": b"{}"}
    return StoredDecision(id=id_, repository=repository, digest=digest, **{**unimportant, **given, **more})
