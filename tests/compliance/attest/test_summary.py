from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.attest.statement import Statement, parse_statement, sbom_statement, subjects_for
from compliance.attest.summary import InputAttestation, VerificationSummary, read_summary, summary_statement
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

SUBJECTS = subjects_for("team/image", Digest.of(b"manifest"), Digest.of(b"config"))
SUMMARY = VerificationSummary(
    verifier="https://gate.example.com",
    at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    resource="pkg:oci/image@sha256:00?repository_url=gate.example.com/team/image",
    policy="urn:mlbuild:policies:baseline+serving",
    policy_digest=Digest.of(b"policies"),
    levels=("SLSA_BUILD_LEVEL_1",),
    inputs=(
        InputAttestation("evidence", Digest.of(b"evidence"), "https://gate.example.com/api/decisions/1/evidence"),
        InputAttestation("https://cyclonedx.org/bom", Digest.of(b"sbom")),
    ),
)


def test_a_summary_has_the_members_that_the_specification_names():
    statement = summary_statement(SUBJECTS, SUMMARY)
    assert statement.predicate_type == "https://slsa.dev/verification_summary/v1"
    assert statement.predicate == {
        "verifier": {"id": "https://gate.example.com"},
        "timeVerified": "2026-11-22T12:00:00Z",
        "resourceUri": SUMMARY.resource,
        "policy": {"uri": SUMMARY.policy, "digest": {"sha256": SUMMARY.policy_digest.hex}},
        "inputAttestations": [
            {
                "name": "evidence",
                "uri": "https://gate.example.com/api/decisions/1/evidence",
                "digest": {"sha256": Digest.of(b"evidence").hex},
            },
            {"name": "https://cyclonedx.org/bom", "digest": {"sha256": Digest.of(b"sbom").hex}},
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1"],
        "slsaVersion": "1.0",
    }


@given(
    st.builds(
        VerificationSummary,
        verifier=st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
        at=st.datetimes(timezones=st.just(UTC)),
        resource=st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
        policy=st.just("urn:x"),
        policy_digest=st.binary().map(Digest.of),
        levels=st.lists(st.sampled_from(["SLSA_BUILD_LEVEL_0", "SLSA_BUILD_LEVEL_1"])).map(tuple),
        inputs=st.lists(st.builds(InputAttestation, st.just("a"), st.binary().map(Digest.of))).map(tuple),
        passed=st.booleans(),
    )
)
def test_what_is_written_is_read_again(summary):
    raw = summary_statement(SUBJECTS, summary).to_json()
    assert read_summary(parse_statement(raw)) == summary


def test_the_date_until_which_it_may_be_pulled_is_named_by_a_uri():
    until = datetime(2026, 12, 6, 10, tzinfo=timezone(timedelta(hours=2)))
    statement = summary_statement(SUBJECTS, replace(SUMMARY, pullable_until=until))
    assert statement.predicate["urn:mlbuild:pullable-until"] == "2026-12-06T08:00:00Z"
    assert read_summary(statement).pullable_until == until
    assert statement.predicate["verificationResult"] == "PASSED"


def test_the_time_is_written_in_utc():
    east = SUMMARY.at.astimezone(timezone(timedelta(hours=5)))
    statement = summary_statement(SUBJECTS, VerificationSummary(**{**_members(SUMMARY), "at": east}))
    assert statement == summary_statement(SUBJECTS, SUMMARY)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"verificationResult": "MAYBE"}, "verificationResult"),
        ({"timeVerified": "2026-11-22T12:00:00"}, "timeVerified"),
        ({"policy": {"uri": "urn:x", "digest": {"md5": "0"}}}, "policy.digest"),
        ({"inputAttestations": [{"name": "sbom"}]}, "without a sha256 digest"),
        ({"verifier": {"id": ""}}, r"verifier\.id"),
        ({"resourceUri": None}, "resourceUri"),
    ],
)
def test_what_is_no_summary_is_refused(change, problem):
    statement = summary_statement(SUBJECTS, SUMMARY)
    changed = Statement(
        subjects=SUBJECTS, predicate_type=statement.predicate_type, predicate={**statement.predicate, **change}
    )
    with pytest.raises(InvalidInput, match=problem):
        read_summary(changed)


def test_another_statement_is_no_summary():
    with pytest.raises(InvalidInput, match="not a verification summary but"):
        read_summary(sbom_statement(SUBJECTS, b"{}"))


def _members(summary: VerificationSummary) -> dict[str, object]:
    return {name: getattr(summary, name) for name in VerificationSummary.__slots__}
