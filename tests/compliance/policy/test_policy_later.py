"""What policies give images that were admitted and no longer comply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import InvalidInput
from compliance.evidence import Evidence, VulnerabilityScan
from compliance.policy.canonical import canonical_json
from compliance.policy.decision import Decision, Status, Urgency, Verdict
from compliance.policy.difference import difference
from compliance.policy.evaluate import evaluate
from compliance.policy.later import DEFAULT_DAYS, Blocking, blocking
from compliance.policy.later_words import later_words
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.policy.reports import from_json, one_line, to_json
from compliance.policy.strictness import Tone
from tests.compliance.policy.policy_evidence import AT, given_evidence

POLICY = """\
name: {name}
{terms}
rules:
  - id: {name}-cves
    check: vulnerabilities
    effect: deny
    {later}
    why: because
    fix: mend it
"""


def policies(folder: Path, terms: str = "", later: str = "", name: str = "any") -> PolicySet:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(POLICY.format(name=name, terms=terms, later=later))
    return load_policies(folder)


def vulnerable(*names: str, exploited: tuple[str, ...] = ()) -> Evidence:
    found = [{"id": name, "package": "fastapi", "severity": "high"} for name in names]
    evidence = given_evidence(vulnerabilities=found)
    scan = evidence.vulnerabilities
    assert isinstance(scan, VulnerabilityScan)
    marked = tuple(replace(one, known_exploited=one.id in exploited) for one in scan.vulnerabilities)
    return replace(evidence, vulnerabilities=replace(scan, vulnerabilities=marked))


def days(decision: Decision) -> list[int]:
    return [one.days for one in blocking(decision)]


def test_without_a_word_there_are_the_default_days(tmp_path):
    decision = evaluate(policies(tmp_path), vulnerable("CVE-2026-1"), AT, later=True)
    (one,) = blocking(decision)
    assert one == Blocking("vulnerabilities", one.culprit, ("CVE-2026-1",), DEFAULT_DAYS)
    assert decision.later
    assert one_line(decision).startswith("NO LONGER COMPLIES serving/iris: any-cves: CVE-2026-1")


@pytest.mark.parametrize(
    ("terms", "later", "expected"),
    [
        ("later: {pullable-days: 14}", "", 14),
        ("later: {pullable-days: 14}", "later: {pullable-days: 30}", 30),
        ("", "later: {pullable-days: 0}", 0),
        ("later: {at-once: []}", "", DEFAULT_DAYS),
    ],
)
def test_a_rule_has_its_own_days_else_its_policys(tmp_path, terms, later, expected):
    assert days(evaluate(policies(tmp_path, terms, later), vulnerable("CVE-2026-1"), AT, later=True)) == [expected]


def test_the_strictest_policy_for_the_image_counts(tmp_path):
    policies(tmp_path, "later: {pullable-days: 14}", name="one")
    both = policies(tmp_path, "later: {pullable-days: 3, at-once: []}", name="two")
    decision = evaluate(both, vulnerable("CVE-2026-1", "MAL-2026-1"), AT, later=True)
    assert days(decision) == [3, 0, 3, 0]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("later: {pullable-days: 14}", {"CVE-2026-1": 14, "CVE-2026-2": 0, "MAL-2026-3": 0}),
        ("later: {pullable-days: 14, at-once: [malware]}", {"CVE-2026-1": 14, "CVE-2026-2": 14, "MAL-2026-3": 0}),
        ("later: {pullable-days: 9, at-once: []}", {"CVE-2026-1": 9, "CVE-2026-2": 9, "MAL-2026-3": 9}),
    ],
)
def test_what_is_exploited_or_malicious_has_no_days(tmp_path, terms, expected):
    evidence = vulnerable("CVE-2026-1", "CVE-2026-2", "MAL-2026-3", exploited=("CVE-2026-2",))
    decision = evaluate(policies(tmp_path, terms), evidence, AT, later=True)
    assert {one.names[0]: one.days for one in blocking(decision)} == expected


def test_the_catalogue_of_the_policies_says_what_is_exploited(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kev.json").write_text('{"count": 1, "vulnerabilities": [{"cveID": "CVE-2026-2000"}]}')
    decision = evaluate(policies(tmp_path), vulnerable("CVE-2026-2000"), AT, later=True)
    assert days(decision) == [0]
    assert decision.outcomes[0].violations[0].at_once is Urgency.KNOWN_EXPLOITED


def test_a_rule_that_does_not_count_later_denies_a_push_and_only_warns_then(tmp_path):
    rules, evidence = policies(tmp_path, later="later: {counts: false}"), vulnerable("CVE-2026-1")
    assert evaluate(rules, evidence, AT).verdict is Verdict.REFUSED
    later = evaluate(rules, evidence, AT, later=True)
    assert (later.verdict, later.outcomes[0].status) == (Verdict.ADMITTED, Status.WARNED)
    assert later.outcomes[0].reason == "does not count for what is admitted"


def test_a_later_decision_survives_storage_and_a_push_has_nothing_new_in_it(tmp_path):
    rules, evidence = policies(tmp_path), vulnerable("MAL-2026-1")
    later, push = evaluate(rules, evidence, AT, later=True), evaluate(rules, evidence, AT)
    assert from_json(to_json(later)) == later
    stored = canonical_json(push)
    assert not any(member in stored for member in (b"later", b"pullable_days", b"at_once"))


@pytest.mark.parametrize(
    ("terms", "later", "problem"),
    [
        ("later: {pullable-days: -1}", "", r"any\.yaml:2: .*greater than or equal to 0"),
        ("later: {pullable-days: 366}", "", r"any\.yaml:2: .*less than or equal to 365"),
        ("later: {pullable-days: '7'}", "", r"any\.yaml:2: "),
        ("later: {pullable_days: 7}", "", r"any\.yaml:2: .*pullable-days"),
        ("later: {at-once: [kev]}", "", r"any\.yaml:2: "),
        ("", "later: {counts: false, pullable-days: 7}", r"any\.yaml:7: .*rules that count later"),
        ("", "later: {at-once: []}", r"any\.yaml:7: "),
    ],
)
def test_what_is_written_wrong_is_told_with_its_line(tmp_path, terms, later, problem):
    with pytest.raises(InvalidInput, match=problem):
        policies(tmp_path, terms, later)


def test_a_rule_that_warns_has_nothing_to_say_of_later(tmp_path):
    policies(tmp_path)
    path = tmp_path / "any.yaml"
    path.write_text(path.read_text().replace("effect: deny", "effect: warn\n    later: {pullable-days: 1}"))
    with pytest.raises(InvalidInput, match="later is for rules with effect deny"):
        load_policies(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "tone", "text"),
    [
        ({}, {"terms": "later: {pullable-days: 3}"}, Tone.STRICTER, "for 3 days, was 7 days (nothing said)"),
        ({}, {"terms": "later: {pullable-days: 9}"}, Tone.LOOSER, "for 9 days"),
        (
            {},
            {"terms": "later: {at-once: [malware]}"},
            Tone.LOOSER,
            "known-exploited no longer ends pulls",
        ),
        ({"terms": "later: {at-once: []}"}, {}, Tone.STRICTER, "known-exploited, malware ends pulls at once"),
        ({}, {"later": "later: {counts: false}"}, Tone.LOOSER, "only warns now of what was admitted before"),
        ({"later": "later: {counts: false}"}, {}, Tone.STRICTER, "counts for what was admitted before, too"),
        (
            {"later": "later: {pullable-days: 9}"},
            {"later": "later: {pullable-days: 1}"},
            Tone.STRICTER,
            "for 1 day, was 9",
        ),
        ({}, {"later": "later: {pullable-days: 1}"}, Tone.CHANGED, "for 1 day, was as its policy says"),
    ],
)
def test_a_change_is_told_in_words(
    tmp_path, before: dict[str, Any], after: dict[str, Any], tone: Tone, text: str
) -> None:
    (change,) = difference(policies(tmp_path / "old", **before), policies(tmp_path / "new", **after))
    assert change.tone is tone
    assert text in change.text


def test_a_rule_is_explained_with_its_days(tmp_path):
    def words(terms: str = "", later: str = "") -> str:
        loaded = policies(tmp_path, terms, later)
        return later_words(loaded.policies[0], loaded.policies[0].rules[0])

    assert words().startswith("pullable for 7 days when it breaks the rule later, or fewer")
    assert words("later: {pullable-days: 14}").startswith("pullable for 14 days")
    assert words(later="later: {pullable-days: 1}") == "pullable for 1 day when it breaks the rule later"
    assert words(later="later: {counts: false}") == "only warns of what was admitted before"
