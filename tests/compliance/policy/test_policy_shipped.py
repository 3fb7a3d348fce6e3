"""The shipped policies against the tests beside them, and the tests against the checks."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from compliance.document import read_document
from compliance.errors import InvalidInput
from compliance.models import FORMATS
from compliance.policy.all_checks import checks
from compliance.policy.checks.model_formats import ModelFormatsParameters
from compliance.policy.decision import Status
from compliance.policy.schema import generated
from compliance.policy.testing import PolicyTestResult, run_policy_tests

ROOT = Path(__file__).parents[3]
DATA = Path(__file__).parent / "data"
SHIPPED = run_policy_tests(ROOT / "policies")
OTHERS = run_policy_tests(DATA / "every-check")


@pytest.mark.parametrize("result", [*SHIPPED, *OTHERS], ids=lambda result: result.name)
def test_case(result: PolicyTestResult) -> None:
    assert result.passed, f"{result.at}: {'; '.join(result.failures)}"


def test_every_check_passes_and_fails_in_a_case() -> None:
    seen: dict[str, set[Status]] = defaultdict(set)
    for result in (*SHIPPED, *OTHERS):
        of_rule = {outcome.rule: outcome.check for outcome in result.decision.outcomes}
        for rule, status in result.case.expect.rules.items():
            seen[of_rule[rule]].add(status)
    assert {name for name in checks() if Status.PASSED in seen[name]} == set(checks())
    assert {name for name in checks() if seen[name] & {Status.DENIED, Status.WARNED}} == set(checks())


def test_every_shipped_rule_fails_in_a_case() -> None:
    rules = {outcome.rule for result in SHIPPED for outcome in result.decision.outcomes}
    failing = {
        rule
        for result in SHIPPED
        for rule, status in result.case.expect.rules.items()
        if status in (Status.DENIED, Status.WARNED)
    }
    assert failing == rules


def test_a_case_that_goes_wrong_says_how() -> None:
    first, second = run_policy_tests(DATA / "failing-tests")
    assert first.failures == (
        "the verdict is refused, not admitted",
        "rule 'no-root' does not apply, did you mean 'non-root'?",
    )
    assert second.failures == (
        "rule 'non-root' is denied, not passed",
        "rule 'non-root' does not say 'toor', but: the image runs as root; set `user: nonroot` in mlbuild.yaml",
    )
    assert (first.at.line, second.at.line) == (2, 5)


def test_a_directory_without_tests_is_not_a_pass() -> None:
    with pytest.raises(InvalidInput, match="holds no policy tests"):
        run_policy_tests(DATA / "good")


def test_a_case_about_a_package_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'numpi', which is not among the packages"):
        run_policy_tests(DATA / "wrong-tests")


@pytest.mark.parametrize("place", sorted(generated()), ids=str)
def test_what_is_generated_is_not_stale(place: Path) -> None:
    written = (ROOT / place).read_text(encoding="utf-8")
    assert written == generated()[place], "run `python -m compliance.policy.schema`"


@pytest.mark.parametrize("name", checks())
def test_the_example_of_a_check_is_one(name: str) -> None:
    check = checks()[name]
    (example,) = check.parameters.model_json_schema(by_alias=True)["examples"]
    check.parameters.model_validate(example)
    assert check.text


def test_every_known_model_format_can_be_named() -> None:
    ModelFormatsParameters.model_validate({"allow": sorted(FORMATS)})
    annotation = ModelFormatsParameters.model_json_schema(by_alias=True)["properties"]["allow"]
    assert set(annotation["anyOf"][0]["items"]["enum"]) == set(FORMATS)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        (
            "policies/schema.json",
            [*sorted((ROOT / "policies").glob("*.yaml")), *sorted((DATA / "good").glob("*.yaml"))],
        ),
        ("policies/waivers/schema.json", sorted((DATA / "good" / "waivers").glob("*.yaml"))),
        ("policies/tests/schema.json", sorted((ROOT / "policies" / "tests").glob("*.yaml"))),
    ],
)
def test_good_files_fit_their_schema(schema: str, files: list[Path]) -> None:
    validator = Draft202012Validator(json.loads((ROOT / schema).read_text()))
    assert files
    for path in files:
        validator.validate(read_document(path).data)


@pytest.mark.parametrize(
    "name",
    [
        "unknown-key",
        "unknown-check",
        "unknown-parameter",
        "missing-parameter",
        "misspelt-severity",
        "misspelt-effect",
    ],
)
def test_bad_policies_do_not_fit_the_schema(name: str) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "policies" / "schema.json").read_text()))
    assert not validator.is_valid(read_document(DATA / "refused" / name / "p.yaml").data)
