"""What was admitted is judged again from what was stored, with real policies, advisories and Trivy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL

from compliance.evidence import Absent, Evidence, Subject
from compliance.inventory import Ecosystem, Inventory, OperatingSystem, Origin, Package, Settings
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
)
from compliance.policy.canonical import canonical_json, digest_of
from compliance.policy.decision import Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.reports import from_json, one_line, to_json
from compliance.sbom import to_cyclonedx
from compliance.scan.sightings import Sightings
from gate.decision_record import stored_evidence
from gate.due import AGAIN_AFTER, CLAIMED_FOR
from gate.rejudging import Rejudging
from gate.rulebook import Rulebook
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.second_look import Matcher
from gate.standings import Standing
from gate.store import Store
from tests.gate.osv_advisory import advisory

pytestmark = pytest.mark.acceptance  # Trivy, for each image

AT = datetime(2026, 11, 22, 9, tzinfo=UTC)
DAY = timedelta(days=1)
REPOSITORY = "serving/iris"

POLICY = """\
name: any
later: {pullable-days: 7}
rules:
  - id: no-known-vulnerabilities
    check: vulnerabilities
    effect: deny
    why: It is known.
    fix: Raise it.
"""
WAIVER = """\
rule: no-known-vulnerabilities
vulnerability: CVE-2026-0001
owner: team@example.com
reason: It is not reached.
created: 2026-11-01
expires: 2026-12-15
"""


@dataclass
class Clock:
    now: datetime = AT

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Site:
    """A gate's store and rules, without the server."""

    root: Path
    store: Store
    clock: Clock = field(default_factory=Clock)
    changes: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("policies/advisories", "policies/waivers", "bases", "keys"):
            (self.root / name).mkdir(parents=True)
        self.write("policies/any.yaml", POLICY)
        self.write("policies/advisories/GHSA-aaaa-bbbb-cccc.json", advisory("GHSA-aaaa-bbbb-cccc", "unrelated"))
        self.rulebook = self.new_rulebook()

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def new_rulebook(self) -> Rulebook:
        return Rulebook(
            policies=self.root / "policies",
            bases=self.root / "bases",
            keys=self.root / "keys",
            cache=self.root / "cache",
            sightings=Sightings(self.root / "sightings.sqlite"),
            trivy=None,
            now=self.clock,
        )

    def rejudging(self, store: Store | None = None) -> Rejudging:
        return Rejudging(store or self.store, self.rulebook, self.clock, lambda: self.changes.append(self.clock()))

    def sweep(self) -> int:
        return self.rejudging().sweep()

    def admit(self, *packages: str, os: OperatingSystem | None = None, again: bool = False) -> Digest:
        """Publish an image with these packages as a push by the rules of now does."""
        layer = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(repr(packages).encode()), size=1)
        config = Descriptor(media_type=OCI_CONFIG, digest=Digest.of(f"config {packages}".encode()), size=1)
        raw = Manifest(config=config, layers=(layer,)).to_json()
        digest = Digest.of(raw)
        found = tuple(sorted((package(name) for name in packages), key=lambda one: one.purl))
        repository = REPOSITORY
        evidence = unknown(Subject(repository, digest=digest), Inventory(os, found))
        rules = self.rulebook.current()
        decision = evaluate(rules.policies, evidence, self.clock())
        id_ = Digest.of(f"{again} {digest}".encode()).hex[:16]
        self.store.record(
            StoredDecision(
                id=id_,
                repository=repository,
                digest=digest,
                tag="v1",
                user="ci",
                at=decision.at,
                verdict=Verdict.ADMITTED,
                line=one_line(decision),
                inputs=Digest.of(b"push"),
                policy_digest=decision.policy_digest,
                evidence_digest=digest_of(evidence),
                databases="",
                decision=to_json(decision),
                evidence=canonical_json(evidence),
            )
        )
        self.publish(repository, digest, raw, OCI_MANIFEST, Kind.IMAGE, id_, [layer.digest])
        return digest

    def publish(
        self, repository: str, digest: Digest, raw: bytes, media_type: str, kind: Kind, decision: str | None, blobs
    ) -> None:
        for blob in blobs:
            self.store.blobs.keep(repository, blob, blob)
        manifest = StoredManifest(
            repository=repository,
            digest=digest,
            media_type=media_type,
            kind=kind,
            raw=raw,
            subject=None,
            decision=decision,
            at=self.clock(),
            kept_as=None,
        )
        self.store.publish(manifest, blobs, None)

    def standing(self, digest: Digest, repository: str = REPOSITORY) -> Standing | None:
        found = self.store.manifest(repository, digest)
        assert found is not None
        return self.store.standings.of(found)


def package(text: str) -> Package:
    name, _, version = text.partition("==")
    return Package(f"pkg:pypi/{name}@{version}", name, version, Ecosystem.PYPI, Origin.DEPENDENCY)


def unknown(subject: Subject, inventory: Inventory) -> Evidence:
    why = Absent("the test says nothing of it")
    return Evidence(
        subject=subject,
        base=why,
        inventory=inventory,
        settings=Settings(
            user="65532",
            entrypoint=(),
            command=(),
            environment=(),
            exposed_ports=(),
            labels=(("owner", "iris@example.com"),),
            working_dir="/app",
        ),
        lock=why,
        vulnerabilities=why,
        secrets=(),
        models=(),
        sbom=why,
        provenance=why,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Store(tmp_path / "gate.db")) as store:
        yield Site(tmp_path / "site", store)


@pytest.fixture
def shared(tmp_path: Path, place: Path | URL) -> Iterator[Site]:
    """As `site`, on each kind of database."""
    with closing(Store(place)) as store:
        yield Site(tmp_path / "site", store)


def add_advisory(site: Site, name: str = "CVE-2026-0001", package: str = "starlette") -> None:
    site.write(f"policies/advisories/{name}.json", advisory(name, package))


def test_an_advisory_warns_the_deadline_denies_and_a_waiver_admits_again(shared):
    site = shared
    digest = site.admit("starlette==0.38.6")
    blob = Digest.of(repr(("starlette==0.38.6",)).encode())
    assert site.sweep() == 1
    assert site.standing(digest) is None
    assert site.changes == []

    add_advisory(site)
    site.clock.now = AT + DAY
    assert site.sweep() == 1
    warned = site.standing(digest)
    assert warned is not None
    assert warned.until == AT + 8 * DAY
    assert warned.line.startswith(
        "NO LONGER COMPLIES serving/iris: no-known-vulnerabilities: CVE-2026-0001 in starlette 0.38.6"
    )
    stored = site.store.decision(warned.decision)
    assert (stored.later, stored.user, stored.verdict) == (True, "", Verdict.REFUSED)
    assert evaluate_again(site, stored) == from_json(stored.decision)

    site.clock.now = AT + 8 * DAY
    assert warned.has_ended(site.clock())
    asked = {"published": True, "at": site.clock()}
    assert site.store.blobs.stored_as(REPOSITORY, blob, **asked) is None
    assert site.sweep() == 1
    ended = site.standing(digest)
    assert (ended.until, ended.decision != warned.decision) == (warned.until, True)

    site.write("policies/waivers/w.yaml", WAIVER)
    assert site.sweep() == 1
    assert site.standing(digest) is None
    assert site.store.blobs.stored_as(REPOSITORY, blob, **asked) == blob
    assert len(site.changes) == 3

    site.clock.now = datetime(2026, 12, 16, tzinfo=UTC)
    assert site.sweep() == 1
    again = site.standing(digest)
    assert again.until == warned.until, "a waiver that ends does not start the clock again"


def evaluate_again(site: Site, stored: StoredDecision):
    """The promise that a verdict can be reached again from what is stored with it."""
    return evaluate(site.rulebook.current().policies, stored_evidence(stored), stored.at, later=True)


def test_what_changed_nothing_is_noted_and_not_recorded(site):
    digest = site.admit("starlette==0.38.6")
    site.sweep()
    assert site.sweep() == 0
    newest = site.store.latest_decision(REPOSITORY, digest)
    add_advisory(site, package="another")
    assert site.sweep() == 1
    site.clock.now = AT + AGAIN_AFTER + timedelta(seconds=1)
    assert site.sweep() == 1
    assert site.store.latest_decision(REPOSITORY, digest).id == newest.id


def test_what_has_ended_has_ended_although_the_clock_is_set_back(shared):
    site = shared
    digest = site.admit("starlette==0.38.6")
    blob = Digest.of(repr(("starlette==0.38.6",)).encode())
    add_advisory(site)
    site.sweep()
    site.clock.now = AT + 8 * DAY
    site.sweep()
    site.clock.now = AT + DAY
    for _ in range(2):
        assert site.standing(digest).has_ended(site.clock())
        assert site.store.blobs.stored_as(REPOSITORY, blob, published=True, at=site.clock()) is None
        add_advisory(site, "CVE-2026-0002", "another")
        assert site.sweep() <= 1
    assert len(site.changes) == 2


def test_with_no_days_it_ends_at_once_and_fewer_days_count_for_what_is_warned(site):
    digest = site.admit("starlette==0.38.6")
    add_advisory(site, "MAL-2026-1")
    site.sweep()
    assert site.standing(digest).has_ended(site.clock())
    other = site.admit("flask==1.0")
    add_advisory(site, package="flask")
    site.sweep()
    assert site.standing(other).until == AT + 7 * DAY
    site.write("policies/any.yaml", POLICY.replace("pullable-days: 7", "pullable-days: 0"))
    site.sweep()
    assert site.standing(other).has_ended(site.clock())


def test_an_index_stands_as_the_worst_that_it_names(shared):
    site = shared
    good, bad = site.admit("flask==1.0"), site.admit("starlette==0.38.6")

    def index(*digests: Digest) -> Digest:
        raw = Index(
            manifests=tuple(Descriptor(media_type=OCI_MANIFEST, digest=each, size=1) for each in digests)
        ).to_json()
        site.publish(REPOSITORY, Digest.of(raw), raw, OCI_INDEX, Kind.INDEX, None, [])
        return Digest.of(raw)

    inner = index(good, bad)
    raw = Index(manifests=(Descriptor(media_type=OCI_INDEX, digest=inner, size=1),)).to_json()
    site.publish(REPOSITORY, Digest.of(raw), raw, OCI_INDEX, Kind.INDEX, None, [])
    add_advisory(site)
    site.sweep()
    assert site.standing(good) is None
    assert site.standing(inner) == site.standing(bad) == site.standing(Digest.of(raw)) is not None


def test_a_gate_that_was_killed_leaves_its_claim_to_others_for_a_while_only(shared, place):
    site = shared
    site.admit("starlette==0.38.6")
    with closing(Store(place)) as other:
        (due,) = other.due.claim(Digest.of(b"rules"), site.clock(), 10)
        assert site.sweep() == 0
        site.clock.now = AT + CLAIMED_FOR
        assert site.sweep() == 1
        noted = other.due.note(
            due, Digest.of(b"rules"), site.clock(), until=None, causes=due.causes, decision=None
        )
        assert not noted, "what came too late is not written over"


def test_what_cannot_be_decided_changes_nothing(site, tmp_path):
    digest = site.admit("starlette==0.38.6")
    add_advisory(site)
    site.sweep()
    before = site.standing(digest)
    site.rulebook = Rulebook(
        policies=site.root / "policies",
        bases=site.root / "bases",
        keys=site.root / "keys",
        cache=site.root / "cache",
        sightings=Sightings(site.root / "sightings.sqlite"),
        trivy=tmp_path / "no-trivy",
        now=site.clock,
    )
    assert site.sweep() == 1
    assert site.sweep() == 0
    assert site.standing(digest) == before


def test_what_is_admitted_once_more_can_be_pulled_before_it_is_judged_again(shared):
    site = shared
    digest = site.admit("starlette==0.38.6")
    blob = Digest.of(repr(("starlette==0.38.6",)).encode())
    add_advisory(site, "MAL-2026-1")
    site.sweep()
    assert site.standing(digest).has_ended(site.clock())
    (site.root / "policies/advisories/MAL-2026-1.json").unlink()
    site.clock.now += timedelta(minutes=1)
    assert site.admit("starlette==0.38.6", again=True) == digest
    assert site.standing(digest) is None
    assert site.store.blobs.stored_as(REPOSITORY, blob, published=True, at=site.clock()) == blob
    assert site.sweep() == 1
    assert site.standing(digest) is None


@pytest.mark.parametrize("change", ["deleted", "published again"])
def test_what_is_published_again_is_judged_again_and_what_is_deleted_is_not(site, change):
    digest = site.admit("starlette==0.38.6")
    site.sweep()
    site.clock.now += timedelta(minutes=1)
    if change == "deleted":
        site.store.unpublish(REPOSITORY, digest)
        assert site.sweep() == 0
    else:
        site.admit("starlette==0.38.6", again=True)
        assert site.sweep() == 1
        assert site.sweep() == 0


def test_many_images_are_matched_at_once_as_each_would_be_alone(site):
    add_advisory(site)
    add_advisory(site, "CVE-2026-0002", "flask")
    add_advisory(site, "CVE-2026-0003", "jinja2")
    debian = OperatingSystem("debian", "12")
    wanted: list[tuple[tuple[str, ...], OperatingSystem | None]] = [
        (("flask==1.0", "jinja2==3.0"), debian),
        (("starlette==0.38.6", "flask==99.0"), debian),
        (("starlette==0.38.6", "flask==1.0"), None),
        (("click==8.0",), debian),
    ]
    digests = [site.admit(*packages, os=os) for packages, os in wanted]
    found = [stored_evidence(site.store.latest_decision(REPOSITORY, digest)) for digest in digests]
    scanner = site.rulebook.current().scanner
    together = Matcher(scanner).match(found)
    alone = tuple(Matcher(scanner).match([one])[0] for one in found)
    one_matcher = Matcher(scanner)
    assert together == alone == tuple(one_matcher.match([one])[0] for one in found)
    assert [one.vulnerabilities for one in together] == [
        replace(scanner.trivy.match(to_cyclonedx(one.inventory, name="x"), scanner.databases), notes=scanner.notes)
        for one in found
    ]
    assert [len(one.vulnerabilities.vulnerabilities) for one in together] == [2, 1, 2, 0]


def test_two_gates_share_the_work_and_record_each_change_once(shared, place):
    digests = [shared.admit(f"starlette==0.{number}") for number in range(12)]
    add_advisory(shared)
    with closing(Store(place)) as store:
        one, other = shared.rejudging(), shared.rejudging(store)
        with ThreadPoolExecutor(2) as pool:
            judged = [each.result() for each in (pool.submit(one.sweep), pool.submit(other.sweep))]
    assert sum(judged) == len(digests)
    assert len(shared.changes) == len(digests)
    assert all(shared.standing(digest) is not None for digest in digests)
