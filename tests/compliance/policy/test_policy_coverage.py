"""Lint remarks on the rules that no policy test makes fail and pass, by file and line, with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.policy.coverage import Coverage
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies, place_in
from compliance.policy.testing import run_policy_tests
from tests.compliance.policy.policy_evidence import AT

SHIPPED = Path(__file__).parents[3] / "policies"
RULES = """\
name: team
rules:
  - {id: no-root, check: non-root, effect: deny, why: a, fix: b}
  - {id: slim, check: image-size, with: {max-megabytes: 50}, effect: warn, why: a, fix: b}
  - {id: owned, check: required-labels, with: {labels: {owner: "*"}}, effect: deny, enforce-from: 2027-01-15,
     why: a, fix: b}
"""
ROOT_FAILS = "  - {name: root, given: {user: root}, expect: {rules: {no-root: denied}}}\n"
ALL_PASS = "  - {name: good, given: {settings: {labels: {owner: me}}}, expect: {verdict: admitted}}\n"
TOO_LARGE = "  - {name: large, given: {layers: [{megabytes: 51}]}, expect: {rules: {slim: warned}}}\n"
UNDECIDED = """\
  - name: unknown
    given: {absent: {settings: none, layers: none}}
    expect: {verdict: undecidable}
"""


def remarks(directory: Path) -> list[str]:
    """What lint says of the rules and their tests, as `FILE:LINE: text` below the directory."""
    results = run_policy_tests(directory, required=False)
    found = lint(load_policies(directory), AT, tested=Coverage.of([one.decision for one in results]))
    places = [place_in(directory, one.file, one.place) for one in found]
    return [
        f"{at.path.relative_to(directory)}:{at.line}: {one.text}" for at, one in zip(places, found, strict=True)
    ]


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(RULES)
    return tmp_path


def cases(directory: Path, *texts: str) -> None:
    (directory / "tests").mkdir(exist_ok=True)
    (directory / "tests" / "team.yaml").write_text("cases:\n" + "".join(texts))


def test_a_policy_that_no_case_is_about_is_remarked_on_once(team: Path) -> None:
    assert remarks(team) == [
        "team.yaml:2: no policy test is about policy 'team', nothing shows what it refuses: add cases to "
        "tests/team.yaml that expect `rules: {no-root: denied}`, and so for each rule"
    ]
    cases(team, UNDECIDED)
    assert remarks(team)[0].startswith("team.yaml:2: no policy test is about policy 'team'")


def test_a_rule_that_no_case_makes_fail_is_remarked_on(team: Path) -> None:
    cases(team, ALL_PASS, ROOT_FAILS)
    assert remarks(team) == [
        "team.yaml:4: rule 'slim' fails in no policy test: add a case to tests/team.yaml that expects "
        "`rules: {slim: warned}`"
    ]


def test_a_rule_that_no_case_makes_pass_is_remarked_on(team: Path) -> None:
    cases(team, ROOT_FAILS, TOO_LARGE.replace("layers", "user: root, layers"))
    assert remarks(team)[0] == (
        "team.yaml:3: rule 'no-root' passes in no policy test: add a case to tests/team.yaml that expects "
        "`rules: {no-root: passed}`"
    )


def test_a_rule_that_is_never_decided_is_remarked_on_once(team: Path) -> None:
    cases(team, UNDECIDED, ROOT_FAILS.replace("user: root", "user: root, absent: {layers: none}"))
    assert remarks(team)[1] == (
        "team.yaml:4: rule 'slim' fails or passes in no policy test: add a case to tests/team.yaml that expects "
        "`rules: {slim: warned}` and one that expects `rules: {slim: passed}`"
    )


def test_a_rule_that_is_only_announced_needs_a_case_of_a_later_day(team: Path) -> None:
    labelled = "settings: {labels: {owner: me}}, "
    cases(team, ALL_PASS, *(one.replace("given: {", "given: {" + labelled) for one in (ROOT_FAILS, TOO_LARGE)))
    assert remarks(team) == [
        "team.yaml:5: rule 'owned' fails in no policy test: add a case to tests/team.yaml that expects "
        "`rules: {owned: denied}`, with `at: 2027-01-15`"
    ]
    late = "  - {name: late, at: 2027-01-15, expect: {rules: {owned: denied}}}\n"
    cases(team, ALL_PASS, ROOT_FAILS, TOO_LARGE, late)
    assert remarks(team) == []


def test_a_policy_that_can_never_apply_has_no_second_remark(team: Path) -> None:
    (team / "team.yaml").write_text(RULES.replace("rules:", "applies-to: {repositories: [Team]}\nrules:", 1))
    assert not [text for text in remarks(team) if "policy test" in text]


def test_the_shipped_policies_are_tested_as_a_whole() -> None:
    assert remarks(SHIPPED) == []
