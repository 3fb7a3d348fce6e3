"""Expressions: what is refused when it is read, and that an evaluation ends, with true, false or a reason."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.evidence import Absent, Evidence
from compliance.policy.expressions import MAX_LENGTH, compile_expression, is_true, view
from compliance.policy.vocabulary import VARIABLES
from tests.compliance.policy.policy_evidence import AT, evidence, given_evidence
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pakages.size() > 1", "undeclared reference to 'pakages'"),
        ("base.onwer == 'x'", "base has no 'onwer'; it has name, digest, owner, end_of_life, created"),
        ("packages.all(p, p.lisence != null)", "p has no 'lisence'"),
        ("!has(sbom.kee)", "sbom has no 'kee'"),
        ("1 +", "Syntax error"),
        ("packages.size()", "gives int, not true or false"),
        ("packages.size() > 'x'", "no matching overload"),
        ("true || " * 80 + "true", f"longer than {MAX_LENGTH} characters"),
        (
            "packages.all(a, packages.all(b, packages.all(c, packages.all(d, packages.all(e, true)))))",
            "more than 4",
        ),
        ("item.name == 'x'", "undeclared reference"),
        ("", "Syntax error"),
        ("\x00", ""),
    ],
)
def test_what_cannot_mean_anything_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted below
        compile_expression(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("packages.exists(p, p.name == 'fastapi' && p.version == '0.115.0')", True),
        ("packages.all(name, name.origin != 'app')", True),
        ("settings.user.matches('^[0-9]+:')", True),
        ("'PATH=/bin' in settings.environment", False),
        ("settings.labels == {}", True),
        ("subject.stage == 'serving' && subject.repository.startsWith('serving/')", True),
        ("locked.all(one, timestamp(one.upload_time) < now)", True),
        ("base.name == 'base.nonsense'", False),
        ("vulnerabilities.size() == 0 && secrets.size() == 0 && models.size() == 0", True),
        ("layers.map(l, l.size).exists(s, s > 5000000)", True),
    ],
)
def test_an_expression_sees_the_evidence(text: str, outcome: bool) -> None:
    assert is_true(compile_expression(text), given_evidence(), AT) is outcome


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0 == 1", "divide by zero"),
        ("timestamp('soon') < now", "could not be evaluated"),
        ("base['nope'] == 1", "Key not found"),
        ("packages[99].name == 'x'", "Index error"),
        ("base.name", "gives no true or false"),
        (
            "[0,1,2,3,4,5,6,7,8,9].map(a, [0,1,2,3,4,5,6,7,8,9].map(b, [0,1,2,3,4,5,6,7,8,9].map(c,"
            "[0,1,2,3,4,5,6,7,8,9,0,1,2,3,4].map(d, 1)))).size() > 0",
            "Iteration budget exceeded",
        ),
    ],
)
def test_an_evaluation_that_goes_wrong_says_why(text: str, said: str) -> None:
    found = is_true(compile_expression(text), given_evidence(), AT)
    assert isinstance(found, Absent)
    assert said in found.reason


def test_what_is_absent_is_not_taken_for_nothing() -> None:
    gone = replace(given_evidence(), models=Absent("unreadable"))
    assert is_true(compile_expression("models.size() == 0"), gone, AT) == Absent("unreadable")
    assert is_true(compile_expression("packages.size() > 0"), gone, AT) is True


def test_the_hungriest_expression_ends_soon() -> None:
    doubled = "'" + "a" * 20 + "'"
    for _ in range(4):
        doubled = f"[{doubled}].map(x, {'+'.join('x' * 12)})[0]"
    is_true(compile_expression(f"{doubled}.size() > 0"), given_evidence(), AT)


def test_every_part_of_the_evidence_can_be_used() -> None:
    good = given_evidence()
    for name, variable in VARIABLES.items():
        value = view(good, name)
        for one in value if variable.many else [value]:
            assert tuple(one) == variable.members
    parts = {field.name for field in dataclasses.fields(Evidence)}
    assert parts - set(VARIABLES) == {"inventory", "lock", "artifact"}


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = compile_expression(text)
    except ValueError:
        return
    assert isinstance(is_true(expression, given_evidence(), AT), bool | Absent)


@given(evidence)
@settings(max_examples=examples(40), deadline=None)
def test_any_evidence_gives_an_answer_or_a_reason(found: Evidence) -> None:
    for text in ("packages.all(p, p.licence != null)", "base.name != ''", "models.size() + layers.size() > 0"):
        assert isinstance(is_true(compile_expression(text), found, AT), bool | Absent)
