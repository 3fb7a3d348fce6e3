"""Stored evidence, and what a changed policy would do to it: whose verdict changes, why and from when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from compliance.archive import all_judged, judged_names, name_of, read_judged, save_judged
from compliance.errors import InvalidInput
from compliance.evidence import Evidence, Subject
from compliance.oci.digest import Digest
from compliance.policy.decision import Effect, Mode, Verdict
from compliance.policy.evaluate import evaluate, judge, verdict_of
from compliance.policy.impact import Replay, change_of, last_announcement
from compliance.policy.loader import load_policies
from compliance.policy.model import Policy, PolicySet, Reach, Waiver
from compliance.policy.verdict_change import VerdictChange
from compliance.policy.vex import VexTrust
from compliance.replay import FEW, Plan, replay_archive
from tests.compliance.policy.policy_evidence import AT, SUBJECT, evidence, given_evidence
from tests.examples import examples

RULE = """\
name: team
rules:
  - id: cves
    check: vulnerabilities
    with: {{severities: [{severities}], grace-days: {grace}}}
    effect: deny
    enforce-from: {since}
    why: because
    fix: mend it
  - id: age
    check: database-age
    with: {{max-age-days: {{trivy: 7}}}}
    effect: deny
    why: because
    fix: fetch it
"""
HIGH = [
    {"id": "CVE-2026-1", "package": "fastapi", "severity": "high", "fixed": ["1.0"], "published": "2026-11-20"}
]
LATER = AT + timedelta(days=90)


def policies(folder: Path, severities: str, *, grace: int = 0, since: str = "2026-01-01") -> PolicySet:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "team.yaml").write_text(RULE.format(severities=severities, grace=grace, since=since))
    return load_policies(folder)


@pytest.fixture(scope="module")
def shipped() -> PolicySet:
    return load_policies(Path(__file__).parents[2] / "policies")


@pytest.fixture
def old(tmp_path: Path) -> PolicySet:
    return policies(tmp_path / "old", "critical")


def change(old: PolicySet, new: PolicySet, *, compare: bool = True, **how: Any) -> VerdictChange | None:
    found = given_evidence(vulnerabilities=HIGH)
    replay = Replay(new, how.pop("at", AT), old if compare else None, how.pop("until", None))
    return change_of(replay, found, evaluate(old, found, AT))


def audited(policies: PolicySet) -> PolicySet:
    """The same, where nothing is blocked."""
    reach = Reach(repositories=("serving/**",))
    return replace(
        policies, policies=tuple(replace(one, mode=Mode.AUDIT, reach=reach) for one in policies.policies)
    )


def test_where_policies_only_audit_nothing_is_lost(old: PolicySet, tmp_path: Path) -> None:
    found = change(audited(old), audited(policies(tmp_path / "new", "high, critical")))
    assert found is not None
    assert (found.before, found.after, found.mode_after) == (Verdict.ADMITTED, Verdict.REFUSED, Mode.AUDIT)
    assert not found.is_lost
    assert [reason.rule for reason in found.reasons] == ["cves"]


@pytest.mark.parametrize("compare", [True, False])
def test_what_audit_let_in_is_lost_when_it_ends(tmp_path: Path, compare: bool) -> None:
    strict = policies(tmp_path / "new", "high, critical")
    found = change(audited(strict), strict, compare=compare)
    assert found is not None
    assert (found.before, found.after) == (Verdict.REFUSED, Verdict.REFUSED)
    assert found.is_lost
    assert [reason.rule for reason in found.reasons] == ["cves"]
    back = change(strict, audited(strict), compare=compare)
    assert back is not None
    assert not back.is_lost
    assert [reason.rule for reason in back.reasons] == ["cves"]


def test_a_stricter_rule_refuses_at_once_and_says_why(old: PolicySet, tmp_path: Path) -> None:
    found = change(old, policies(tmp_path / "new", "high, critical"))
    assert found is not None
    assert (found.before, found.after, found.since) == (Verdict.ADMITTED, Verdict.REFUSED, None)
    (reason,) = found.reasons
    assert (reason.rule, reason.findings) == ("cves", 1)
    assert reason.text == "CVE-2026-1 (high) in fastapi 0.115.0: something bad can happen"
    assert reason.remedy == "raise fastapi to 1.0 or later"


def test_a_looser_rule_admits_and_names_what_no_longer_stops_it(old: PolicySet, tmp_path: Path) -> None:
    strict = policies(tmp_path / "strict", "high, critical")
    found = change(strict, old)
    assert found is not None
    assert (found.before, found.after) == (Verdict.REFUSED, Verdict.ADMITTED)
    assert [reason.rule for reason in found.reasons] == ["cves"]


@pytest.mark.parametrize("compare", [True, False])
def test_what_changes_nothing_is_not_listed(old: PolicySet, tmp_path: Path, compare: bool) -> None:
    assert change(old, policies(tmp_path / "new", "critical", grace=3), compare=compare, until=LATER) is None


def test_an_announced_rule_changes_the_verdict_on_its_day(old: PolicySet, tmp_path: Path) -> None:
    new = policies(tmp_path / "new", "high, critical", since="2027-01-15")
    assert change(old, new) is None
    assert last_announcement(new, AT) == datetime(2027, 1, 15, tzinfo=UTC)
    found = change(old, new, until=last_announcement(new, AT))
    assert found is not None
    assert found.since == date(2027, 1, 15)


@pytest.mark.parametrize("hour", [0, 9, 23])
@pytest.mark.parametrize("grace", [5, 14, 40])
def test_days_of_grace_end_on_their_day(old: PolicySet, tmp_path: Path, grace: int, hour: int) -> None:
    new = policies(tmp_path / "new", "high, critical", grace=grace)
    found = change(old, new, at=AT.replace(hour=hour), until=LATER)
    assert found is not None
    assert found.since == date(2026, 11, 20) + timedelta(days=grace)


def test_a_change_is_seen_though_both_agree_again_later(tmp_path: Path) -> None:
    """The rule begins in January; from March the old set refuses as well."""
    old = policies(tmp_path / "old", "high, critical", since="2027-03-01")
    new = policies(tmp_path / "new", "high, critical", since="2027-01-15")
    found = change(old, new, until=datetime(2027, 6, 1, tzinfo=UTC))
    assert found is not None
    assert found.since == date(2027, 1, 15)


def test_evidence_that_ages_on_a_disk_is_no_effect_of_a_policy(old: PolicySet) -> None:
    """The rule on the age of databases would refuse everything that is a week old."""
    assert change(old, old, compare=False, at=AT + timedelta(days=60), until=LATER) is None


def test_an_archive_gives_back_what_was_stored(old: PolicySet, tmp_path: Path) -> None:
    found = given_evidence(vulnerabilities=HIGH)
    name = save_judged(tmp_path / "archive", found, evaluate(old, found, AT))
    assert name == name_of(SUBJECT) == f"serving_iris-{Digest.of(b'image').hex[:12]}"
    (stored,) = all_judged(tmp_path / "archive")
    assert stored.evidence == found
    assert stored.decision == evaluate(old, found, AT)
    assert name_of(Subject("serving/iris")) == "serving_iris-lock"


@given(evidence)
@settings(max_examples=examples(40), deadline=None)
def test_any_evidence_can_be_stored_and_replayed(
    tmp_path_factory: pytest.TempPathFactory, shipped: PolicySet, found: Evidence
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    decision = evaluate(shipped, found, AT)
    try:
        name = save_judged(folder, found, decision)
    except UnicodeEncodeError:
        return  # a repository that no file system can name
    stored = read_judged(folder, name)
    assert stored.decision.verdict is decision.verdict
    assert change_of(Replay(shipped, AT, shipped), stored.evidence, stored.decision) is None


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("x.decision.json", b"{}", "x.decision.json: is not a stored decision"),
        ("x.decision.json", None, "x.decision.json: cannot be read"),
        ("x.evidence.json", b"{}", "x.decision.json: is about other evidence"),
    ],
)
def test_a_pair_that_does_not_belong_together_is_refused(
    old: PolicySet, tmp_path: Path, file: str, content: bytes | None, says: str
) -> None:
    found = given_evidence()
    name = save_judged(tmp_path, found, evaluate(old, found, AT))
    for path in tmp_path.glob(f"{name}.*"):
        path.rename(tmp_path / path.name.replace(name, "x"))
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        read_judged(tmp_path, "x")


def test_an_archive_with_nothing_in_it_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no stored evidence"):
        judged_names(tmp_path)
    with pytest.raises(InvalidInput, match="is not a directory"):
        judged_names(tmp_path / "none")


def test_what_is_settled_by_the_old_policies_is_what_the_new_ones_give(tmp_path: Path) -> None:
    """Nothing is settled that a waiver, a statement, an audit or the rule itself could make different."""
    old, new = policies(tmp_path / "old", "critical"), policies(tmp_path / "new", "high, critical")
    assert Replay(new, AT, old).settled == frozenset({"age"})
    assert Replay(old, AT, old).settled == frozenset({"age", "cves"})
    waiver = Waiver("waivers/w.yaml", "age", "a@example.com", "r", date(2026, 11, 1), date(2026, 12, 1), key="x")
    assert Replay(replace(old, waivers=(waiver,)), AT, old).settled == frozenset({"cves"})
    assert Replay(audited(old), AT, old).settled == frozenset()
    trusting = tuple(replace(one, vex=VexTrust(("vendor",))) for one in old.policies)
    assert Replay(replace(old, policies=trusting), AT, old).settled == frozenset()
    assert Replay(old, AT, None).settled == frozenset()


@given(evidence)
@settings(deadline=None, max_examples=examples(60))
def test_a_replay_comes_to_what_judging_afresh_comes_to(shipped: PolicySet, found: Evidence) -> None:
    changed = replace(shipped, policies=tuple(stricter(one) for one in shipped.policies))
    before, after = (verdict_of(judge(one, found, AT)) for one in (shipped, changed))
    told = change_of(Replay(changed, AT, shipped), found, evaluate(shipped, found, AT))
    assert (told is not None) == (before is not after)
    assert told is None or (told.before, told.after) == (before, after)


def stricter(policy: Policy) -> Policy:
    """Its rules, all of which deny."""
    return replace(policy, rules=tuple(replace(rule, effect=Effect.DENY) for rule in policy.rules))


def test_several_processes_find_what_one_finds(old: PolicySet, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for number in range(FEW + 1):
        subject = Subject(f"serving/model-{number}", "serving", Digest.of(str(number).encode()))
        found = given_evidence(subject, vulnerabilities=HIGH if number % 50 == 0 else [])
        save_judged(archive, found, evaluate(old, found, AT))
    policies(tmp_path / "new", "high, critical")
    for plan in (Plan(tmp_path / "new", AT), Plan(tmp_path / "new", AT, old=tmp_path / "old")):
        together = [*replay_archive(archive, plan, processes=2)]
        assert together == [*replay_archive(archive, plan, processes=1)]
    assert len(together) == 5
    for broken in (judged_names(archive)[0], judged_names(archive)[-1]):
        file = archive / f"{broken}.decision.json"
        kept = file.read_bytes()
        file.write_bytes(b"{}")
        with pytest.raises(InvalidInput, match="is not a stored decision"):
            list(replay_archive(archive, plan, processes=2))
        file.write_bytes(kept)
