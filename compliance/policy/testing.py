"""Runs the tests that stand beside policies: DIRECTORY/tests/*.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compliance.document import nearest, read_model
from compliance.errors import InvalidInput, Location
from compliance.policy.cases import Case, CaseFile
from compliance.policy.decision import Decision
from compliance.policy.evaluate import evaluate
from compliance.policy.loader import load_policies

TESTS: Final = "tests"


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """How one case went: `failures` says in words what is not as expected, and is empty when all is."""

    name: str
    at: Location
    case: Case
    decision: Decision
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def run_policy_tests(directory: Path, *, required: bool = True) -> tuple[PolicyTestResult, ...]:
    """Judge every case in DIRECTORY/tests by the policies of `directory`.

    Raises InvalidInput when a policy or a test file is wrong, or when tests are `required` and there are none.
    """
    policies = load_policies(directory)
    files = sorted((directory / TESTS).glob("*.yaml"))
    if not files and required:
        raise InvalidInput("holds no policy tests (*.yaml)", at=Location(directory / TESTS))
    results = []
    for path in files:
        file, document = read_model(path, CaseFile)
        for place, case in enumerate(file.cases):
            moment = case.moment()
            decision = evaluate(policies, case.given.evidence(case.subject.subject(), moment), moment)
            at = document.where(("cases", place))
            results.append(PolicyTestResult(case.name, at, case, decision, tuple(_failures(case, decision))))
    return tuple(results)


def _failures(case: Case, decision: Decision) -> Iterator[str]:
    expect = case.expect
    if expect.verdict is not None and decision.verdict is not expect.verdict:
        yield f"the verdict is {decision.verdict}, not {expect.verdict}"
    outcomes = {outcome.rule: outcome for outcome in decision.outcomes}
    for rule in sorted({*expect.rules, *expect.says} - outcomes.keys()):
        near = nearest(rule, outcomes)
        yield f"rule {rule!r} does not apply" + (f", did you mean {near!r}?" if near else "")
    for rule, status in expect.rules.items():
        if rule in outcomes and outcomes[rule].status is not status:
            reason = outcomes[rule].reason
            yield f"rule {rule!r} is {outcomes[rule].status}, not {status}" + (f": {reason}" if reason else "")
    for rule, words in expect.says.items():
        if rule in outcomes:
            said = [text for one in outcomes[rule].violations for text in (one.message, one.remedy or "")]
            said.append(outcomes[rule].reason or "")
            if not any(words in text for text in said):
                yield f"rule {rule!r} does not say {words!r}, but: {'; '.join(text for text in said if text)}"
