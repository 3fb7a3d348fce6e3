"""Audit mode: told in every decision and report, seen by lint and diff, and overruled by whatever enforces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compliance.evidence import Subject
from compliance.oci.digest import Digest
from compliance.policy.all_checks import checks
from compliance.policy.decision import Decision, Effect, Mode, Status, Verdict
from compliance.policy.difference import difference
from compliance.policy.evaluate import evaluate
from compliance.policy.lint import lint
from compliance.policy.model import Policy, PolicySet, Reach, Rule
from compliance.policy.reports import from_json, one_line, to_html, to_json, to_markdown
from compliance.policy.strictness import Tone
from tests.compliance.policy.policy_evidence import AT, given_evidence

SANDBOX = Reach(repositories=("sandbox/**",))
IN_SANDBOX = Subject("sandbox/iris", digest=Digest.of(b"image"))
ELSEWHERE = Subject("serving/iris", digest=Digest.of(b"image"))


def not_root(id_: str) -> Rule:
    check = checks()["non-root"]
    return Rule(id_, check, check.parameters(), Effect.DENY, "why", "fix")


AUDIT = Policy("sandbox", "sandbox.yaml", (not_root("audited"),), reach=SANDBOX, mode=Mode.AUDIT)
BASELINE = Policy("baseline", "baseline.yaml", (not_root("enforced"),))


def decide(*policies: Policy, subject: Subject = IN_SANDBOX) -> Decision:
    found = given_evidence()
    rootly = replace(found.settings, user="root")
    return evaluate(PolicySet(policies, (), Digest.of(b"p")), replace(found, subject=subject, settings=rootly), AT)


def test_where_every_policy_audits_the_verdict_is_told_and_lets_in() -> None:
    decision = decide(AUDIT)
    assert (decision.verdict, decision.mode, decision.lets_in) == (Verdict.REFUSED, Mode.AUDIT, True)
    assert [outcome.status for outcome in decision.outcomes] == [Status.DENIED]


def test_a_policy_that_audits_without_rules_lets_in_too() -> None:
    decision = decide(replace(AUDIT, rules=()))
    assert (decision.verdict, decision.lets_in) == (Verdict.REFUSED, True)
    assert decision.outcomes[0].rule == "some-rule-applies"


def test_one_policy_that_enforces_is_enough() -> None:
    decision = decide(AUDIT, BASELINE)
    assert (decision.verdict, decision.mode, decision.lets_in) == (Verdict.REFUSED, Mode.ENFORCE, False)
    told = {outcome.rule: (outcome.status, outcome.reason) for outcome in decision.outcomes}
    assert told == {
        "audited": (Status.WARNED, "policy 'sandbox' only audits"),
        "enforced": (Status.DENIED, None),
    }


def test_what_enforces_and_finds_nothing_does_not_enforce_the_rules_of_others() -> None:
    decision = decide(AUDIT, replace(BASELINE, rules=()))
    assert (decision.verdict, decision.mode) == (Verdict.ADMITTED, Mode.ENFORCE)


def test_a_policy_for_every_image_has_to_leave_the_repository_out_itself() -> None:
    but = replace(BASELINE, reach=Reach(exceptions=SANDBOX.repositories))
    assert decide(AUDIT, but).mode is Mode.AUDIT
    assert [outcome.rule for outcome in decide(AUDIT, but).outcomes] == ["audited"]
    assert not decide(AUDIT, but, subject=ELSEWHERE).lets_in
    assert not decide(AUDIT, but, subject=Subject("sandbox")).lets_in


def test_rules_that_an_auditing_policy_extends_audit_unless_something_enforces_them() -> None:
    library = replace(BASELINE, reach=Reach(repositories=("nowhere",)))
    assert decide(library, replace(AUDIT, extends=("baseline",))).lets_in
    assert not decide(BASELINE, replace(AUDIT, extends=("baseline",))).lets_in


def test_what_nothing_covers_is_not_let_in_by_an_audit_of_something_else() -> None:
    decision = decide(AUDIT, subject=ELSEWHERE)
    assert (decision.verdict, decision.mode, decision.lets_in) == (Verdict.REFUSED, Mode.ENFORCE, False)


def test_every_report_says_it() -> None:
    decision = decide(AUDIT)
    assert from_json(to_json(decision)) == decision
    for text in (one_line(decision), to_markdown(decision), to_html(decision).decode()):
        assert "AUDIT ONLY, WOULD BE REFUSED" in text
    assert b'"mode"' not in to_json(decide(BASELINE))


def test_lint_remarks_on_it() -> None:
    remarks = lint(PolicySet((AUDIT, BASELINE), (), Digest.of(b"p")), AT)
    assert ("sandbox.yaml", "policy 'sandbox' only audits: its rules block nothing in sandbox/**") in [
        (one.file, one.text) for one in remarks
    ]


@pytest.mark.parametrize(
    ("old", "new", "tone", "text"),
    [
        (replace(AUDIT, mode=Mode.ENFORCE), AUDIT, Tone.LOOSER, "only audits now, was enforced"),
        (AUDIT, replace(AUDIT, mode=Mode.ENFORCE), Tone.STRICTER, "enforced now, only audited before"),
        (None, AUDIT, Tone.LOOSER, "new policy, only audits repositories sandbox/**"),
        (
            replace(AUDIT, reach=Reach(exceptions=("a",))),
            replace(AUDIT, reach=Reach(exceptions=("a", "b"))),
            Tone.LOOSER,
            "is kept from repositories b too",
        ),
    ],
)
def test_a_difference_is_called_what_it_is(old: Policy | None, new: Policy, tone: Tone, text: str) -> None:
    before = PolicySet(() if old is None else (old,), (), Digest.of(b"p"))
    changes = difference(before, PolicySet((new,), (), Digest.of(b"q")))
    assert (tone, text) in [(change.tone, change.text) for change in changes]
