"""What images hold and how they stand, asked of both kinds of database."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from compliance.evidence import Absent, Evidence, Severity, Subject, Vulnerability, VulnerabilityScan
from compliance.inventory import Ecosystem, Inventory, Origin, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Index
from compliance.policy.canonical import canonical_json
from compliance.policy.decision import Mode, Verdict
from gate.catalogue import Availability
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOT_READ = Absent("not read")


@pytest.fixture
def store(place):
    opened = Store(place)
    yield opened
    opened.close()


def package(name: str, version: str = "1.0") -> Package:
    purl = f"pkg:pypi/{name}@{version}"
    return Package(purl, name, version, Ecosystem.PYPI, Origin.DEPENDENCY)


def evidence(*packages: Package, vulnerabilities: tuple[Vulnerability, ...] = ()) -> Evidence:
    return Evidence(
        subject=Subject("team/image"),
        base=NOT_READ,
        inventory=Inventory(None, packages),
        settings=NOT_READ,
        lock=NOT_READ,
        vulnerabilities=VulnerabilityScan(vulnerabilities, ()),
        secrets=NOT_READ,
        models=NOT_READ,
        sbom=NOT_READ,
        provenance=NOT_READ,
    )


def judge(
    store: Store,
    repository: str,
    digest: Digest,
    found: Evidence,
    *,
    id_: str,
    verdict: Verdict = Verdict.ADMITTED,
    at: datetime = AT,
    waived: tuple[str, ...] = (),
) -> None:
    violations = [{"culprit": "pkg", "key": "key", "message": "m", "waiver": waiver} for waiver in waived]
    outcome = {"rule": "rule", "status": "waived", "violations": violations}
    store.record(
        StoredDecision(
            id=id_,
            repository=repository,
            digest=digest,
            tag=None,
            user="ci",
            at=at,
            verdict=verdict,
            line="",
            inputs=digest,
            policy_digest=digest,
            evidence_digest=digest,
            databases="",
            decision=json.dumps({"outcomes": [outcome]}).encode(),
            evidence=canonical_json(found),
            mode=Mode.ENFORCE,
        )
    )


def publish(store: Store, repository: str, digest: Digest, decision: str, tag: str | None = None) -> None:
    manifest = StoredManifest(
        repository=repository,
        digest=digest,
        media_type=OCI_MANIFEST,
        kind=Kind.IMAGE,
        raw=b"{}",
        subject=None,
        decision=decision,
        at=AT,
        kept_as=None,
    )
    store.publish(manifest, (), tag)


ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")


def users_of(store: Store, name: str, visible=None, **asked) -> list[tuple[str, str]]:
    uses = store.contents.uses(visible, name=name, limit=99, **asked)
    return [(use.repository, use.version) for use in uses]


def test_who_uses_a_package_is_who_is_published_with_it(store):
    judge(store, "team/one", ONE, evidence(package("numpy", "2.0"), package("six")), id_="1")
    judge(store, "team/two", OTHER, evidence(package("numpy", "2.1")), id_="2", verdict=Verdict.REFUSED)
    assert users_of(store, "numpy") == []
    publish(store, "team/one", ONE, "1")
    assert users_of(store, "numpy") == [("team/one", "2.0")]
    assert users_of(store, "numpy", version="2.1") == []
    assert users_of(store, "numpy", visible=("team/two",)) == []
    store.unpublish("team/one", ONE)
    assert users_of(store, "numpy") == []


def test_a_newer_decision_replaces_what_was_known(store):
    judge(store, "team/one", ONE, evidence(package("numpy")), id_="1", waived=("a.yaml",))
    publish(store, "team/one", ONE, "1")
    judge(store, "team/one", ONE, evidence(package("scipy")), id_="2", at=AT + timedelta(hours=1))
    assert users_of(store, "numpy") == []
    assert users_of(store, "scipy") == [("team/one", "1.0")]
    assert store.contents.waived(None, "a.yaml", limit=9) == []


def test_names_that_databases_do_not_take_keep_no_image_from_its_verdict(store):
    odd = package("n" * 5000), package("nul\0byte"), package("ü" * 300, "\0" * 900)
    judge(store, "team/one", ONE, evidence(*odd), id_="1")
    publish(store, "team/one", ONE, "1")
    assert len(store.contents.uses(None, limit=9)) == 3
    assert users_of(store, "nul\N{REPLACEMENT CHARACTER}byte") == [("team/one", "1.0")]


def test_a_vulnerability_is_found_by_each_of_its_names(store):
    known = Vulnerability(
        id="CVE-2024-1",
        purl="pkg:pypi/six@1.0",
        package="six",
        installed="1.0",
        fixed=("1.1", "2.0"),
        severity=Severity.HIGH,
        title="",
        database="trivy",
        aliases=("GHSA-1", "CVE-2024-1"),
    )
    judge(store, "team/one", ONE, evidence(package("six"), vulnerabilities=(known,)), id_="1")
    publish(store, "team/one", ONE, "1")
    for name in ("CVE-2024-1", "GHSA-1"):
        (found,) = store.contents.affected(None, name, limit=9)
        assert (found.vulnerability, found.severity, found.fixed) == ("CVE-2024-1", "high", ("1.1", "2.0"))
    assert store.contents.affected((), "GHSA-1", limit=9) == []


def test_what_a_waiver_excuses_is_told_by_image(store):
    judge(store, "team/one", ONE, evidence(), id_="1", waived=("a.yaml", "b.yaml", "a.yaml"))
    publish(store, "team/one", ONE, "1")
    assert [one.repository for one in store.contents.waived(None, "a.yaml", limit=9)] == ["team/one", "team/one"]


def test_images_are_listed_in_pages_with_their_newest_decision(store):
    digests = sorted(Digest.of(bytes([number])) for number in range(7))
    for number, digest in enumerate(digests):
        judge(store, "team/many", digest, evidence(), id_=f"{number}a")
        judge(store, "team/many", digest, evidence(), id_=f"{number}b", verdict=Verdict.REFUSED)
    seen, after = [], None
    while page := store.catalogue.judged(None, AT, after=after, limit=3):
        seen += page
        after = (page[-1].repository, page[-1].digest)
    assert [one.digest for one in seen] == digests
    assert {(one.verdict, one.standing) for one in seen} == {(Verdict.REFUSED, Availability.ABSENT)}
    assert store.catalogue.judged(("team/none",), AT, limit=9) == []


def test_what_is_published_stands_by_its_deadline(store):
    judge(store, "team/one", ONE, evidence(), id_="1")
    publish(store, "team/one", ONE, "1", tag="v1")
    (found,) = store.catalogue.judged(None, AT, limit=9)
    assert (found.standing, found.kind, found.tags) == (Availability.PULLABLE, Kind.IMAGE, ("v1",))
    (due,) = store.due.claim(OTHER, AT, 9)
    later = replace(due.causes)
    store.due.note(due, OTHER, AT, until=AT + timedelta(days=3), causes=later, decision=None)
    for days, standing in ((0, Availability.ENDING), (3, Availability.ENDED)):
        now = AT + timedelta(days=days)
        assert [one.standing for one in store.catalogue.judged(None, now, limit=9)] == [standing]
        assert len(store.catalogue.judged(None, now, standing=standing, limit=9)) == 1
        assert store.catalogue.counts(now) == {(Kind.IMAGE, standing): 1}
    judge(store, "team/one", ONE, evidence(), id_="2", at=now)
    publish(store, "team/one", ONE, "2", tag="v1")
    (again,) = store.catalogue.judged(None, now, limit=9)
    assert (again.standing, again.pullable_until) == (Availability.PULLABLE, None)


def standing_of(store: Store, digest: Digest) -> Availability:
    (found,) = store.catalogue.judged(None, AT, key=("team/one", digest))
    assert found in store.catalogue.judged(None, AT, standing=found.standing, limit=99)
    return found.standing


def publish_index(store: Store, *named: Digest) -> Digest:
    """An index of these, that was admitted."""
    entries = tuple(Descriptor(media_type=OCI_MANIFEST, digest=each, size=2) for each in named)
    raw = Index(manifests=entries).to_json()
    digest = Digest.of(raw)
    judge(store, "team/one", digest, evidence(), id_=digest.hex[:9])
    manifest = StoredManifest(
        repository="team/one",
        digest=digest,
        media_type=OCI_INDEX,
        kind=Kind.INDEX,
        raw=raw,
        subject=None,
        decision=digest.hex[:9],
        at=AT,
        kept_as=None,
    )
    store.publish(manifest, (), None)
    return digest


def test_an_index_is_absent_once_anything_below_it_was_deleted(store):
    for id_, digest in (("1", ONE), ("2", OTHER)):
        judge(store, "team/one", digest, evidence(), id_=id_)
        publish(store, "team/one", digest, id_)
    inner = publish_index(store, ONE)
    outer, apart = publish_index(store, inner), publish_index(store, OTHER)
    assert [standing_of(store, each) for each in (inner, outer, apart)] == [Availability.PULLABLE] * 3
    store.unpublish("team/one", ONE)
    assert [standing_of(store, each) for each in (inner, outer)] == [Availability.ABSENT] * 2
    assert standing_of(store, apart) is Availability.PULLABLE
    assert store.catalogue.counts(AT)[Kind.INDEX, Availability.ABSENT] == 2
    publish(store, "team/one", ONE, "1")
    assert standing_of(store, outer) is Availability.PULLABLE
    store.unpublish("team/one", outer)
    assert standing_of(store, outer) is Availability.ABSENT


def test_decisions_come_newest_first_in_pages(store):
    for number in range(5):
        judge(store, "team/one", ONE, evidence(), id_=str(number), at=AT + timedelta(minutes=number // 2))
    seen, before = [], None
    while page := store.catalogue.taken(None, key=("team/one", ONE), before=before, limit=2):
        seen += [one.id for one in page]
        before = (page[-1].at, page[-1].id)
    assert seen == ["4", "3", "2", "1", "0"]
