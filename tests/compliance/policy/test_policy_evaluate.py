"""The engine: verdicts, waivers, and that it always gives the same answer and never none."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.evidence import Absent, Evidence, Subject
from compliance.oci.digest import Digest
from compliance.policy.all_checks import checks
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Decision, Effect, Status, Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.loader import load_policies
from compliance.policy.model import Policy, PolicySet, Reach, Rule, Scope, Waiver
from compliance.policy.pattern import PackagePattern
from compliance.policy.reports import from_json, to_json
from tests.compliance.policy.policy_evidence import AT, SUBJECT, evidence, given_evidence
from tests.examples import examples

SHIPPED = load_policies(Path(__file__).parents[3] / "policies")
EVERY_CHECK = load_policies(Path(__file__).parent / "data" / "every-check")
NO_ROOT = checks()["non-root"]


def rule(
    check: str = "non-root", effect: Effect = Effect.DENY, enforce_from: date | None = None, **given: object
) -> Rule:
    found = checks()[check]
    parameters = found.parameters.model_validate({key.replace("_", "-"): value for key, value in given.items()})
    return Rule("r", found, parameters, effect, "why", "fix", enforce_from)


def policy_set(*rules: Rule, waivers: tuple[Waiver, ...] = (), reach: Reach | None = None) -> PolicySet:
    return PolicySet((Policy("p", "p.yaml", rules, reach=reach),), waivers, Digest.of(b"p"))


def raising(parameters: Parameters, evidence: Evidence, at: datetime) -> Result:
    raise LookupError("no such thing")


BROKEN_CHECK = Check("broken", Parameters, raising, frozenset({Selector.KEY}))
BROKEN = Rule("broken", BROKEN_CHECK, Parameters(), Effect.DENY, "why", "fix")


def test_a_set_without_rules_refuses_everything() -> None:
    decision = evaluate(PolicySet((), (), Digest.of(b"")), given_evidence(), AT)
    assert decision.verdict is Verdict.REFUSED
    assert "no rule applies to 'serving/iris' in stage 'serving'" in decision.outcomes[0].violations[0].message


def test_a_set_whose_policies_are_for_others_refuses() -> None:
    policies = policy_set(rule(), reach=Reach(repositories=("training/**",)))
    assert evaluate(policies, given_evidence(), AT).verdict is Verdict.REFUSED
    assert evaluate(policies, given_evidence(Subject("training/x")), AT).verdict is Verdict.ADMITTED


def test_a_policy_without_rules_judges_nothing_and_so_refuses() -> None:
    assert evaluate(policy_set(), given_evidence(), AT).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("effect", "given", "status", "verdict"),
    [
        (Effect.DENY, {}, Status.PASSED, Verdict.ADMITTED),
        (Effect.DENY, {"user": "root"}, Status.DENIED, Verdict.REFUSED),
        (Effect.WARN, {"user": "root"}, Status.WARNED, Verdict.ADMITTED),
        (Effect.DENY, {"absent": {"settings": "unreadable"}}, Status.UNDECIDED, Verdict.UNDECIDABLE),
        (Effect.WARN, {"absent": {"settings": "unreadable"}}, Status.UNDECIDED, Verdict.ADMITTED),
    ],
)
def test_one_rule_decides(effect: Effect, given: dict[str, object], status: Status, verdict: Verdict) -> None:
    decision = evaluate(policy_set(rule(effect=effect)), given_evidence(**given), AT)
    assert (decision.outcomes[0].status, decision.verdict) == (status, verdict)


def test_what_is_pending_blocks_no_lock_but_an_image() -> None:
    lock = given_evidence(replace(SUBJECT, digest=None), pending=["settings"])
    image = given_evidence(pending=["settings"])
    assert evaluate(policy_set(rule()), lock, AT).outcomes[0].status is Status.PENDING
    assert evaluate(policy_set(rule()), lock, AT).verdict is Verdict.ADMITTED
    assert evaluate(policy_set(rule()), image, AT).verdict is Verdict.UNDECIDABLE


def test_a_check_that_fails_leaves_its_rule_undecided_and_says_so() -> None:
    decision = evaluate(policy_set(BROKEN), given_evidence(), AT)
    assert decision.verdict is Verdict.UNDECIDABLE
    assert decision.outcomes[0].reason == "the check 'broken' failed: LookupError: no such thing"


def test_a_refusal_outweighs_what_could_not_be_decided() -> None:
    assert evaluate(policy_set(BROKEN, rule()), given_evidence(user="0"), AT).verdict is Verdict.REFUSED


def test_a_rule_only_warns_until_the_day_it_is_enforced_from() -> None:
    policies = policy_set(rule(enforce_from=date(2026, 11, 23)))
    before = evaluate(policies, given_evidence(user="root"), AT)
    after = evaluate(policies, given_evidence(user="root"), AT + timedelta(days=1))
    assert (before.verdict, before.outcomes[0].status) == (Verdict.ADMITTED, Status.WARNED)
    assert before.outcomes[0].reason == "denies from 2026-11-23"
    assert after.verdict is Verdict.REFUSED


CVE = {"id": "GHSA-1111", "package": "fastapi", "severity": "critical", "aliases": ["CVE-2026-1"]}


def waiver(**changes: object) -> Waiver:
    made = Waiver("waivers/w.yaml", "r", "team", "reason", date(2026, 11, 1), date(2026, 12, 31))
    return replace(made, **{"vulnerability": "CVE-2026-1", **changes})  # type: ignore[arg-type]


def judged(*waivers: Waiver, at: datetime = AT, subject: Subject = SUBJECT) -> Decision:
    policies = policy_set(rule(check="vulnerabilities", severities=["critical"]), waivers=waivers)
    return evaluate(policies, given_evidence(subject, vulnerabilities=[CVE]), at)


def test_a_waiver_excuses_what_it_names() -> None:
    decision = judged(waiver())
    assert (decision.verdict, decision.outcomes[0].status) == (Verdict.ADMITTED, Status.WAIVED)
    assert decision.outcomes[0].violations[0].waiver == "waivers/w.yaml"
    assert decision.notes == ()


@pytest.mark.parametrize(
    "fitting",
    [
        {"vulnerability": "GHSA-1111"},
        {"vulnerability": None, "package": PackagePattern.parse("fastapi")},
        {"package": PackagePattern.parse("pkg:pypi/FastAPI@0.*")},
        {"scope": Scope(repositories=("serving/*",), digests=(Digest.of(b"image"),), stages=("serving",))},
        {"expires": AT.date()},
        {"created": AT.date()},
    ],
    ids=str,
)
def test_a_waiver_that_fits_counts(fitting: dict[str, object]) -> None:
    assert judged(waiver(**fitting)).verdict is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("unfit", "note"),
    [
        ({"vulnerability": "CVE-2026-2"}, "excuses nothing here"),
        ({"package": PackagePattern.parse("starlette")}, "excuses nothing here"),
        ({"package": PackagePattern.parse("pkg:pypi/fastapi@0.114.*")}, "excuses nothing here"),
        ({"expires": date(2026, 11, 21)}, "expired on 2026-11-21; what it excused is still there"),
        ({"created": date(2026, 11, 23)}, "does not count before 2026-11-23"),
        ({"scope": Scope(repositories=("training/**",))}, None),
        ({"scope": Scope(digests=(Digest.of(b"other"),))}, None),
        ({"scope": Scope(stages=("training",))}, None),
        ({"rule": "other"}, None),
    ],
    ids=str,
)
def test_a_waiver_that_does_not_fit_does_not_count(unfit: dict[str, object], note: str | None) -> None:
    decision = judged(waiver(**unfit))
    assert decision.verdict is Verdict.REFUSED
    assert [note in text for text in decision.notes] == [True] if note else decision.notes == ()


def test_a_waiver_that_expires_within_two_weeks_is_announced() -> None:
    notes = judged(waiver(expires=date(2026, 12, 6))).notes
    assert notes == ("waiver waivers/w.yaml (team) expires on 2026-12-06, in 14 days",)
    assert judged(waiver(expires=date(2026, 12, 7))).notes == ()


def test_an_expired_waiver_that_nothing_needs_can_be_deleted() -> None:
    policies = policy_set(rule(), waivers=(waiver(expires=date(2026, 11, 2), vulnerability=None, key="user"),))
    assert "it can be deleted" in evaluate(policies, given_evidence(), AT).notes[0]


def test_one_violation_of_two_waived_still_refuses() -> None:
    policies = policy_set(rule(check="secrets"), waivers=(waiver(vulnerability=None, path="app/**"),))
    both = given_evidence(secrets=[{"path": "app/a.py"}, {"path": "lib/b.py"}])
    outcome = evaluate(policies, both, AT).outcomes[0]
    assert outcome.status is Status.DENIED
    assert [one.waiver for one in outcome.violations] == ["waivers/w.yaml", None]


@pytest.mark.parametrize("path", ["/app/model.pkl", "app/model.pkl", "/app/**", "**/*.pkl"])
def test_a_path_is_meant_from_the_root(path: str) -> None:
    policies = policy_set(
        rule(check="model-formats", deny=["pickle"]), waivers=(waiver(vulnerability=None, path=path),)
    )
    for found in ("app/model.pkl", "/app/model.pkl"):
        decision = evaluate(policies, given_evidence(models=[{"path": found, "format": "pickle"}]), AT)
        assert decision.outcomes[0].status is Status.WAIVED


def test_a_time_without_zone_is_utc_and_other_zones_are_the_same_instant() -> None:
    east = AT.astimezone(timezone(timedelta(hours=9)))
    decisions = {to_json(judged(at=at)) for at in (AT, east, AT.replace(tzinfo=None))}
    assert len(decisions) == 1


def test_the_scan_notes_and_databases_are_part_of_the_decision() -> None:
    decision = evaluate(SHIPPED, given_evidence(databases={"advisories": "2026-11-01"}), AT)
    assert [database.name for database in decision.databases] == ["advisories"]


def test_a_decision_names_its_policies_the_extended_first() -> None:
    assert evaluate(SHIPPED, given_evidence(), AT).policies == ("baseline", "serving")


@given(evidence, st.datetimes(timezones=st.sampled_from([UTC, None])))
@settings(max_examples=examples(100), deadline=None)
def test_any_evidence_is_decided_always_alike_and_survives_storage(found: Evidence, at: datetime) -> None:
    for policies in (SHIPPED, EVERY_CHECK):
        _is_decided(policies, found, at)


def _is_decided(policies: PolicySet, found: Evidence, at: datetime) -> None:
    decision = evaluate(policies, found, at)
    stored = to_json(decision)
    assert to_json(evaluate(policies, found, at)) == stored
    assert from_json(stored) == decision
    assert not any((outcome.reason or "").startswith("the check ") for outcome in decision.outcomes)


@given(evidence)
@settings(max_examples=examples(30), deadline=None)
def test_what_is_missing_never_turns_a_refusal_into_an_admission(found: Evidence) -> None:
    image = replace(found, subject=SUBJECT)
    verdict = evaluate(SHIPPED, image, AT).verdict
    for part in (field.name for field in fields(Evidence) if field.name not in ("subject", "sbom")):
        less = replace(image, **{part: Absent("gone")})  # type: ignore[arg-type]
        if verdict is not Verdict.ADMITTED:
            assert evaluate(SHIPPED, less, AT).verdict is not Verdict.ADMITTED


def test_what_is_found_is_placed_in_the_layer_that_holds_it() -> None:
    wheels, files = Digest.of(b"wheels"), Digest.of(b"files")
    found = given_evidence(
        packages=[{"name": "pillow", "version": "9.4.0"}], user="root", secrets=[{"path": "/app/x"}]
    )
    assert not isinstance(found.inventory, Absent)
    assert not isinstance(found.secrets, Absent)
    packages = tuple(replace(one, layer=wheels) for one in found.inventory.packages)
    built = replace(
        found,
        inventory=replace(found.inventory, packages=packages),
        secrets=tuple(replace(one, layer=files) for one in found.secrets),
    )
    rules = (rule(), rule("secrets"), rule("banned-packages", packages=[{"package": "pillow"}]))
    policies = policy_set(*(replace(one, id=one.check.name) for one in rules))
    for known, wanted in ((built, [None, files, wheels]), (found, [None, None, None])):
        outcomes = evaluate(policies, known, AT).outcomes
        assert [one.layer for outcome in outcomes for one in outcome.violations] == wanted


def test_an_artifact_needs_a_rule_about_artifacts_and_an_image_one_about_images() -> None:
    image, chart = given_evidence(), given_evidence(artifact="application/vnd.cncf.helm.config.v1+json")
    of_artifacts = rule("artifact-types", allow=[chart.artifact])
    assert evaluate(policy_set(of_artifacts), chart, AT).verdict is Verdict.ADMITTED
    for policies, found in ((policy_set(of_artifacts), image), (policy_set(rule()), chart)):
        decision = evaluate(policies, found, AT)
        assert (decision.verdict, decision.outcomes[0].rule) == (Verdict.REFUSED, "some-rule-applies")
    assert (
        "no rule applies to artifacts of type application/vnd.cncf.helm"
        in decision.outcomes[0].violations[0].message
    )
