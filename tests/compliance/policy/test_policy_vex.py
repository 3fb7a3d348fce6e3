"""VEX statements in and out: whose count, for what, for how long; and that what is written can be read again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.evidence import Subject
from compliance.oci.digest import Digest
from compliance.policy.all_checks import checks
from compliance.policy.decision import Decision, Effect, Status, Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.model import Policy, PolicySet, Rule, Waiver
from compliance.policy.reports import from_json, to_json
from compliance.policy.vex import Justification, VexBook, VexStatement, VexTrust
from compliance.policy.vex_documents import to_cyclonedx, to_openvex
from compliance.policy.vex_files import parse_vex
from tests.compliance.policy.policy_evidence import AT, SUBJECT, given_evidence

CVE = {"id": "GHSA-1111", "package": "fastapi", "severity": "critical", "aliases": ["CVE-2026-1"], "fixed": ["9"]}
PURL = "pkg:pypi/fastapi@0.115.0"
VENDOR = "Vendor <security@vendor.example>"


def openvex(**changes: Any) -> dict[str, Any]:
    statement = {
        "vulnerability": {"name": "CVE-2026-1"},
        "products": [{"@id": PURL}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
        **changes,
    }
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://vendor.example/vex/1",
        "author": VENDOR,
        "timestamp": "2026-11-01T00:00:00Z",
        "version": 1,
        "statements": [{key: value for key, value in statement.items() if value is not None}],
    }


def read(*documents: dict[str, Any]) -> tuple[VexStatement, ...]:
    return tuple(
        one
        for number, document in enumerate(documents)
        for one in parse_vex(json.dumps(document).encode(), f"vex/{number}.json")
    )


def judged(
    *statements: VexStatement,
    trust: VexTrust = VexTrust((VENDOR,), 90),  # noqa: B008 - frozen
    waivable: bool = True,
    at: datetime = AT,
    subject: Subject = SUBJECT,
    waivers: tuple[Waiver, ...] = (),
) -> Decision:
    check = checks()["vulnerabilities"]
    rule = Rule("r", check, check.parameters(), Effect.DENY, "why", "fix", waivable=waivable)
    policy = Policy("p", "p.yaml", (rule,), vex=trust)
    policies = PolicySet((policy,), waivers, Digest.of(b"p"), vex=VexBook.of(statements))
    return evaluate(policies, given_evidence(subject, vulnerabilities=[CVE]), at)


def test_a_statement_of_a_trusted_author_excuses_and_is_told() -> None:
    decision = judged(*read(openvex()))
    assert (decision.verdict, decision.outcomes[0].status) == (Verdict.ADMITTED, Status.WAIVED)
    (found,) = decision.exemptions
    assert (found.file, found.by, found.vulnerability) == ("vex/0.json", VENDOR, "GHSA-1111")
    assert found.justification == "vulnerable_code_not_in_execute_path"
    assert found.until == datetime(2027, 1, 30, tzinfo=UTC)
    assert from_json(to_json(decision)) == decision


def test_a_statement_that_ended_or_ends_soon_is_noted() -> None:
    (gone,) = judged(*read(openvex()), at=datetime(2027, 1, 31, tzinfo=UTC)).notes
    said = "GHSA-1111 counts no more after 90 days; what it excused is still there"
    assert gone == f"statement in vex/0.json ({VENDOR}) on {said}"
    (soon,) = judged(*read(openvex()), at=datetime(2027, 1, 20, tzinfo=UTC)).notes
    assert soon == f"statement in vex/0.json ({VENDOR}) on GHSA-1111 counts for 10 more days"
    assert judged(*read(openvex())).notes == ()


@pytest.mark.parametrize(
    ("product", "noted"),
    [
        (f"pkg:oci/iris@{SUBJECT.digest}", True),
        (f"pkg:oci/iris@{Digest.of(b'other')}", False),
        ("pkg:pypi/gone", False),
    ],
)
def test_a_statement_about_this_image_that_excuses_nothing_is_noted(product: str, noted: bool) -> None:
    unused = openvex(vulnerability={"name": "CVE-2020-1"}, products=[{"@id": product}])
    expected = f"statement in vex/0.json ({VENDOR}) on CVE-2020-1 excuses nothing here: it can be deleted"
    assert judged(*read(unused)).notes == ((expected,) if noted else ())


def test_nothing_is_noted_of_statements_that_nobody_trusts() -> None:
    unused = openvex(vulnerability={"name": "CVE-2020-1"}, products=[{"@id": f"pkg:oci/iris@{SUBJECT.digest}"}])
    assert judged(*read(unused), trust=VexTrust()).notes == ()


IMAGE = f"pkg:oci/iris@{SUBJECT.digest}"


@pytest.mark.parametrize(
    "fitting",
    [
        {"vulnerability": {"name": "GHSA-1111"}},
        {"vulnerability": {"name": "X-1", "aliases": ["CVE-2026-1"]}},
        {"vulnerability": "CVE-2026-1"},
        {"products": [{"@id": "pkg:pypi/FastAPI"}]},
        {"products": [{"@id": "https://x.example/app", "identifiers": {"purl": PURL}}]},
        {"products": [{"@id": "pkg:pypi/other"}, {"@id": PURL}]},
        {"products": [{"@id": IMAGE}]},
        {"products": [{"@id": IMAGE, "subcomponents": [{"@id": PURL}]}]},
        {"products": [{"@id": "pkg:oci/iris?repository_url=registry.example/serving/iris"}]},
        {"status": "fixed", "justification": None},
        {"justification": None, "impact_statement": "It is compiled out."},
    ],
    ids=str,
)
def test_what_fits_counts(fitting: dict[str, Any]) -> None:
    assert judged(*read(openvex(**fitting))).verdict is Verdict.ADMITTED


@pytest.mark.parametrize(
    "unfit",
    [
        {"vulnerability": {"name": "CVE-2026-2"}},
        {"products": []},
        {"products": [{"@id": "https://x.example/app"}]},
        {"products": [{"@id": "pkg:pypi/fastapi@0.114.0"}]},
        {"products": [{"@id": "pkg:pypi/fastapi@0.115.0?file_name=other.whl"}]},
        {"products": [{"@id": "pkg:npm/fastapi"}]},
        {"products": [{"@id": "pkg:pypi/app", "subcomponents": [{"@id": PURL}]}]},
        {"products": [{"@id": PURL, "subcomponents": [{"@id": "pkg:pypi/starlette"}]}]},
        {"products": [{"@id": "pkg:oci/iris"}]},
        {"products": [{"@id": f"pkg:oci/iris@{Digest.of(b'other')}"}]},
        {"products": [{"@id": "pkg:oci/iris?repository_url=registry.example/training/iris"}]},
        {"products": [{"@id": IMAGE, "subcomponents": [{"@id": "pkg:pypi/starlette"}]}]},
        {"products": [{"@id": IMAGE, "subcomponents": [{"@id": "no purl"}]}]},
        {"status": "affected", "justification": None, "action_statement": "Update."},
        {"status": "under_investigation", "justification": None},
        {"status": "fixed", "justification": None, "products": [{"@id": "pkg:pypi/fastapi"}]},
    ],
    ids=str,
)
def test_what_does_not_fit_does_not_count(unfit: dict[str, Any]) -> None:
    decision = judged(*read(openvex(**unfit)))
    assert (decision.verdict, decision.exemptions) == (Verdict.REFUSED, ())


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"trust": VexTrust(("somebody else",), 90)}, Verdict.REFUSED),
        ({"trust": VexTrust()}, Verdict.REFUSED),
        ({"trust": VexTrust((VENDOR.lower(),), 90)}, Verdict.REFUSED),
        ({"waivable": False}, Verdict.REFUSED),
        ({"at": datetime(2026, 10, 31, tzinfo=UTC)}, Verdict.REFUSED),
        ({"at": datetime(2027, 1, 30, tzinfo=UTC)}, Verdict.ADMITTED),
        ({"at": datetime(2027, 1, 31, tzinfo=UTC)}, Verdict.REFUSED),
    ],
    ids=str,
)
def test_a_statement_counts_by_author_rule_and_time(changes: dict[str, Any], verdict: Verdict) -> None:
    assert judged(*read(openvex()), **changes).verdict is verdict


def test_the_newest_statement_counts_and_of_equally_new_ones_the_least_favourable() -> None:
    good = openvex()
    bad = openvex(status="affected", justification=None, action_statement="Update.")
    later = {"timestamp": "2026-11-10T00:00:00Z"}
    assert judged(*read(good, bad | later)).verdict is Verdict.REFUSED
    assert judged(*read(bad, good | later)).verdict is Verdict.ADMITTED
    assert judged(*read(good, bad)).verdict is Verdict.REFUSED
    by_another = bad | later | {"author": "Somebody"}
    assert judged(*read(good, by_another)).verdict is Verdict.ADMITTED


def cyclonedx(**analysis: Any) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"timestamp": "2026-11-01T00:00:00Z", "authors": [{"name": VENDOR}]},
        "components": [{"bom-ref": "a", "purl": PURL}],
        "vulnerabilities": [{"id": "CVE-2026-1", "analysis": analysis, "affects": [{"ref": "a"}]}],
    }


@pytest.mark.parametrize(
    ("analysis", "verdict"),
    [
        ({"state": "not_affected", "justification": "code_not_reachable"}, Verdict.ADMITTED),
        ({"state": "false_positive"}, Verdict.ADMITTED),
        ({"state": "resolved"}, Verdict.ADMITTED),
        ({"state": "exploitable"}, Verdict.REFUSED),
        ({"state": "in_triage"}, Verdict.REFUSED),
    ],
    ids=str,
)
def test_cyclonedx_says_the_same_in_other_words(analysis: dict[str, Any], verdict: Verdict) -> None:
    assert judged(*read(cyclonedx(**analysis))).verdict is verdict


@pytest.mark.parametrize("ref", [PURL, "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#a"])
def test_cyclonedx_may_name_a_package_by_purl_or_link(ref: str) -> None:
    document = cyclonedx(state="not_affected")
    document["vulnerabilities"][0]["affects"] = [{"ref": ref}]
    assert judged(*read(document)).verdict is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{}", "is neither OpenVEX nor CycloneDX"),
        (b"[]", "is not a JSON object"),
        (b"{", "is not valid JSON"),
        (b'{"a":1,"a":2}', "a key twice"),
        (b"[" * 100_000, "not valid JSON"),
        (json.dumps(openvex(justification=None)).encode(), "needs a justification or an impact_statement"),
        (json.dumps(openvex(justification="because")).encode(), "justification"),
        (json.dumps(openvex(status="fine")).encode(), "status"),
        (json.dumps({**openvex(), "timestamp": "yesterday"}).encode(), "timestamp"),
        (json.dumps({**openvex(), "timestamp": "2026-11-01T00:00:00"}).encode(), "timestamp"),
        (json.dumps({**openvex(), "author": ""}).encode(), "author"),
        (json.dumps({**cyclonedx(state="in_triage"), "metadata": {}}).encode(), "does not say who made it"),
        (
            json.dumps({**cyclonedx(state="in_triage"), "metadata": {"authors": [{"name": "A"}]}}).encode(),
            "does not say when CVE-2026-1 was analysed",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_a_file_that_says_too_little_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_vex(raw, "vex/x.json")
    assert said in str(caught.value)
    assert "vex/x.json" in str(caught.value)


@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    ).map(
        lambda data: json.dumps(
            {**openvex(), **(data if isinstance(data, dict) else {"statements": data})}
        ).encode()
    )
)
@settings(deadline=None)
def test_any_bytes_are_statements_or_invalid_input(raw: bytes) -> None:
    try:
        found = parse_vex(raw, "vex/x.json")
    except InvalidInput:
        return
    assert judged(*found).verdict in Verdict


def waiver(justification: Justification | None) -> Waiver:
    return Waiver(
        "waivers/w.yaml",
        "r",
        "vision@example.com",
        "WebP is compiled out.",
        date(2026, 11, 1),
        date(2026, 12, 31),
        vulnerability="CVE-2026-1",
        justification=justification,
    )


@pytest.mark.parametrize("write", [to_openvex, to_cyclonedx])
def test_what_is_written_is_read_again_and_excuses_elsewhere(write: Any) -> None:
    decision = judged(waivers=(waiver(Justification.VULNERABLE_CODE_NOT_PRESENT),))
    raw = write(decision, author=VENDOR)
    assert raw == write(decision, author=VENDOR)
    later = AT + timedelta(days=1)
    assert judged(*parse_vex(raw, "vex/ours.json"), at=later).verdict is Verdict.ADMITTED
    other = replace(SUBJECT, digest=Digest.of(b"other"))
    assert judged(*parse_vex(raw, "vex/ours.json"), at=later, subject=other).verdict is Verdict.REFUSED


def test_openvex_says_what_is_accepted_and_what_is_open() -> None:
    (accepted,) = json.loads(to_openvex(judged(waivers=(waiver(None),)), author="us"))["statements"]
    assert accepted["status"] == "affected"
    assert accepted["action_statement"] == "accepted by vision@example.com until 2026-12-31: WebP is compiled out."
    (open_,) = json.loads(to_openvex(judged(), author="us"))["statements"]
    assert (open_["status"], open_["action_statement"]) == ("affected", "raise fastapi to 9 or later")
    assert open_["vulnerability"] == {"name": "GHSA-1111", "aliases": ["CVE-2026-1"]}


def test_cyclonedx_fits_its_schema() -> None:
    for decision in (judged(), judged(waivers=(waiver(Justification.COMPONENT_NOT_PRESENT),))):
        raw = to_cyclonedx(decision, author="us").decode()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw) is None


def test_there_is_no_vex_about_a_lock() -> None:
    with pytest.raises(InvalidInput, match="this decision is about a lock"):
        to_openvex(judged(subject=replace(SUBJECT, digest=None)), author="us")
