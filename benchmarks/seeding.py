"""A gate's store filled with made-up images, for measuring and for looking at pages; the same every time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from compliance.evidence import (
    Absent,
    Database,
    Evidence,
    Provenance,
    Severity,
    Subject,
    Vulnerability,
    VulnerabilityScan,
)
from compliance.inventory import Ecosystem, Inventory, Layer, Origin, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST, Descriptor, Manifest
from compliance.policy.canonical import canonical_json
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Verdict, Violation
from compliance.policy.reports import to_json
from gate.deadlines import Causes
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.store import Store

TEAMS: Final = ("fraud", "forecast", "ranking", "search", "vision")
NAMES: Final = (
    "numpy",
    "pandas",
    "scipy",
    "requests",
    "fastapi",
    "uvicorn",
    "pydantic",
    "xgboost",
    "pillow",
    "six",
)
LAYERS: Final = 30
REFUSED_OF: Final = 5
"""One image in so many is refused."""

ENDING_OF: Final = 40
"""One admitted image in so many no longer complies."""

NO_HIGH: Final = """\
name: strict
rules:
  - id: no-known-high
    check: vulnerabilities
    with: {severities: [high]}
    effect: deny
    why: High ones are exploited within days.
    fix: Run `mlbuild fix`.
"""
"""A policy that refuses what is seeded with a vulnerability: each is high."""

_NOT_READ: Final = Absent("made up")
_RULES: Final = Digest.of(b"rules")


def seed(store: Store, images: int, now: datetime) -> Sequence[tuple[str, Digest]]:
    """Fill a store with images pushed over the last 40 days; returns where they are."""
    choose = random.Random(images)  # noqa: S311 - made-up data, not keys
    made = []
    for number in range(images):
        repository = f"{choose.choice(TEAMS)}/model-{number % 97}"
        at = now - timedelta(days=40) * (1 - number / images)
        image = _manifest(number)
        verdict = Verdict.REFUSED if number % REFUSED_OF == 0 else Verdict.ADMITTED
        decision = decision_on(
            repository,
            image,
            evidence_of(repository, choose.sample(NAMES, 6), number),
            verdict,
            at,
            id_=f"{number:032x}",
        )
        store.record(decision)
        if verdict is Verdict.ADMITTED:
            publish(store, decision, image, f"v{number}")
        made.append((repository, decision.digest))
    _end_some(store, now)
    return made


def evidence_of(repository: str, names: Sequence[str], number: int) -> Evidence:
    """Packages, one known vulnerability and three layers."""
    packages = tuple(
        Package(f"pkg:pypi/{name}@1.{number % 7}", name, f"1.{number % 7}", Ecosystem.PYPI, Origin.DEPENDENCY)
        for name in sorted(names)
    )
    known = Vulnerability(
        id="CVE-2026-1000",
        purl=packages[0].purl,
        package=packages[0].name,
        installed=packages[0].version,
        fixed=("2.0",),
        severity=Severity.HIGH,
        title="Made up",
        database="trivy",
        aliases=("GHSA-made-up",),
    )
    layers = tuple(
        Layer(_diff_id(each), Digest.of(b"z%d" % each), 1_000_000 * (each + 1), origin, None)
        for each, origin in enumerate((Origin.BASE, None, None))
    )
    return Evidence(
        subject=Subject(repository),
        base=_NOT_READ,
        inventory=Inventory(None, packages),
        settings=_NOT_READ,
        lock=_NOT_READ,
        vulnerabilities=VulnerabilityScan((known,), ()),
        secrets=_NOT_READ,
        models=_NOT_READ,
        sbom=_NOT_READ,
        provenance=Provenance("https://ci.example.com", "ci.pem", _RULES, None),
        layers=layers,
    )


def decision_on(
    repository: str, image: Manifest, evidence: Evidence, verdict: Verdict, at: datetime, *, id_: str
) -> StoredDecision:
    """A decision, whose findings are one of the base and one of a package."""
    raw, digest = canonical_json(evidence), Digest.of(image.to_json())
    package = "a package" if isinstance(evidence.inventory, Absent) else evidence.inventory.packages[0].purl
    denied = verdict is Verdict.REFUSED
    decision = Decision(
        verdict=verdict,
        subject=evidence.subject,
        at=at,
        policies=("serving",),
        policy_digest=_RULES,
        evidence_digest=Digest.of(raw),
        databases=(Database("trivy", _RULES, at),),
        notes=(),
        outcomes=_outcomes(package, denied=denied),
    )
    line = f"REFUSED {repository}: no-known-high: {package} has CVE-2026-1000 -> Take 2.0."
    return StoredDecision(
        id=id_,
        repository=repository,
        digest=digest,
        tag="v1",
        user="ci",
        at=at,
        verdict=verdict,
        line=line if denied else f"ADMITTED {repository}",
        inputs=_RULES,
        policy_digest=_RULES,
        evidence_digest=decision.evidence_digest,
        databases=f"trivy {_RULES}",
        decision=to_json(decision),
        evidence=raw,
    )


def publish(store: Store, decision: StoredDecision, image: Manifest, tag: str) -> None:
    """Make the image readable that a decision admitted."""
    store.publish(
        StoredManifest(
            repository=decision.repository,
            digest=decision.digest,
            media_type=OCI_MANIFEST,
            kind=Kind.IMAGE,
            raw=image.to_json(),
            subject=None,
            decision=decision.id,
            at=decision.at,
            kept_as=None,
        ),
        (),
        tag,
    )


def _outcomes(package: str, *, denied: bool) -> tuple[RuleOutcome, ...]:
    mine = Violation(
        package,
        "CVE-2026-1000",
        f"{package} has CVE-2026-1000, which is known to be exploitable from the network",
        origin=Origin.DEPENDENCY,
        layer=_diff_id(1),
        chain=("fastapi", "starlette"),
        remedy="Take 2.0: mlbuild fix",
        severity="high",
        aliases=("GHSA-made-up",),
        fixed="2.0",
    )
    of_base = Violation(
        "pkg:deb/debian/openssl@3.0", "CVE-2026-2000", "openssl is old", origin=Origin.BASE, layer=_diff_id(0)
    )
    status = Status.DENIED if denied else Status.PASSED
    return (
        RuleOutcome(
            "serving",
            "no-known-high",
            "vulnerabilities",
            Effect.DENY,
            status,
            "High ones are exploited within days.",
            "Run `mlbuild fix`, or ask for a waiver.",
            (mine,) if denied else (),
        ),
        RuleOutcome(
            "serving",
            "fresh-base",
            "base-age",
            Effect.WARN,
            Status.WARNED,
            "Bases get fixes every week.",
            "Take the newest base.",
            (of_base,),
        ),
    )


def _diff_id(number: int) -> Digest:
    """Which layer that is, from the bottom up."""
    return Digest.of(b"%d" % number)


def _manifest(number: int) -> Manifest:
    config, layers = b"config %d" % number, (b"layer %d of %d" % (each, number) for each in range(LAYERS))
    return Manifest(
        config=Descriptor(media_type="application/vnd.oci.image.config.v1+json", digest=Digest.of(config), size=9),
        layers=tuple(
            Descriptor(
                media_type="application/vnd.oci.image.layer.v1.tar+gzip", digest=Digest.of(layer), size=len(layer)
            )
            for layer in layers
        ),
    )


def _end_some(store: Store, now: datetime) -> None:
    """Have all judged again, and find that some no longer comply."""
    number = 0
    while found := store.due.claim(_RULES, now, 500):
        for due in found:
            number += 1
            until, decision = None, None
            if number % ENDING_OF == 0:
                until = now + timedelta(days=1 + number % 14)
                decision = _later(due.admitted, now, number)
            store.due.note(due, _RULES, now, until=until, causes=Causes(), decision=decision)


def _later(admitted: StoredDecision, now: datetime, number: int) -> StoredDecision:
    return StoredDecision(
        id=f"f{number:031x}",
        repository=admitted.repository,
        digest=admitted.digest,
        tag=None,
        user="gate",
        at=now,
        verdict=Verdict.REFUSED,
        line=f"REFUSED {admitted.repository}: no-known-high: CVE-2026-3000 became known -> Take 2.1.",
        inputs=_RULES,
        policy_digest=_RULES,
        evidence_digest=admitted.evidence_digest,
        databases=admitted.databases,
        decision=admitted.decision,
        evidence=admitted.evidence,
        later=True,
    )
