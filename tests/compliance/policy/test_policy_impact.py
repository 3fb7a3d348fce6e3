"""An impact judges no more than it must, and tells what judging everything would tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from compliance.evidence import Evidence, Subject
from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status, Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.impact import Replay, as_fresh, change_of
from compliance.policy.loader import load_policies
from compliance.policy.model import Policy, PolicySet, Reach, Rule, Waiver
from compliance.policy.threats import NO_THREATS, Threats
from compliance.policy.verdict_change import Reason, VerdictChange
from compliance.policy.vex import NO_VEX, VexBook, VexProduct, VexStatement, VexStatus, VexTrust
from tests.compliance.policy.policy_evidence import AT, SUBJECT, evidence, given_evidence
from tests.examples import examples

SHIPPED = load_policies(Path(__file__).parents[3] / "policies")
VULNERABILITIES = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["CVE-2026-1", "CVE-2026-2", "CVE-2026-3"]),
            "package": st.just("fastapi"),
            "severity": st.sampled_from(["low", "medium", "high", "critical"]),
            "fixed": st.sampled_from([[], ["1.0"]]),
            "published": st.sampled_from(["2026-01-01", "2026-11-20"]),
        }
    ),
    max_size=3,
)
SUBJECTS = st.sampled_from(
    [SUBJECT, Subject("training/x", None, SUBJECT.digest), Subject("else", "serving"), Subject("else")]
)
IMAGES = st.builds(
    lambda subject, found, user: given_evidence(subject, vulnerabilities=found, user=user),
    SUBJECTS,
    VULNERABILITIES,
    st.sampled_from(["65532", "root"]),
)
STATEMENT = VexStatement(
    file="vex/vendor.json",
    author="vendor",
    made=AT - timedelta(days=360),
    names=("CVE-2026-1",),
    status=VexStatus.NOT_AFFECTED,
    products=(VexProduct(PackageURL("pypi", None, "fastapi")),),
)
WAIVERS = st.builds(
    lambda rule, key, days: Waiver(
        f"waivers/{rule}.yaml", rule, "a@example.com", "r", AT.date(), AT.date() + timedelta(days=days), key=key
    ),
    st.sampled_from(["no-known-critical", "serving-no-known-high", "runs-as-non-root"]),
    st.sampled_from(["CVE-2026-1", "CVE-2026-2", "root"]),
    st.integers(0, 20),
)
REACHES = st.sampled_from([None, Reach(stages=("serving",)), Reach(repositories=("training/**", "else"))])
TRUSTS = st.sampled_from([VexTrust(), VexTrust(("vendor",)), VexTrust(("vendor",), 30)])
DAYS = st.sampled_from([None, AT.date(), AT.date() + timedelta(days=9), date(2026, 1, 1)])


@st.composite
def changed(draw: st.DrawFn, policies: PolicySet) -> PolicySet:
    """The policies with some rules left out, milder or later, others audited, and with waivers and statements."""
    some = replace(policies, policies=tuple(draw(changed_policy(one)) for one in policies.policies))
    return replace(
        some,
        waivers=tuple(draw(st.lists(WAIVERS, max_size=2, unique_by=lambda one: one.file))),
        vex=draw(st.sampled_from([NO_VEX, VexBook.of([STATEMENT])])),
        threats=draw(st.sampled_from([NO_THREATS, Threats(exploited=frozenset({"CVE-2026-2"}))])),
    )


@st.composite
def changed_policy(draw: st.DrawFn, policy: Policy) -> Policy:
    if draw(st.booleans()) or not policy.rules:
        return policy
    if draw(st.integers(0, 9)) == 0:
        return replace(policy, rules=())
    rules = list(policy.rules)
    for place in draw(st.lists(st.integers(0, len(rules) - 1), max_size=3)):
        rules[place] = draw(changed_rule(rules[place]))
    return replace(
        policy,
        rules=tuple(rules),
        reach=draw(st.one_of(st.just(policy.reach), REACHES)),
        mode=draw(st.sampled_from([Mode.ENFORCE, Mode.ENFORCE, Mode.AUDIT])),
        vex=draw(TRUSTS),
    )


def changed_rule(rule: Rule) -> st.SearchStrategy[Rule]:
    other = [one for _, one in SHIPPED.rules() if one.check.name == rule.check.name]
    return st.builds(
        lambda effect, since, like: replace(rule, effect=effect, enforce_from=since, parameters=like.parameters),
        st.sampled_from(Effect),
        DAYS,
        st.sampled_from(other),
    )


Told = tuple[Verdict, Verdict, Mode, Mode, tuple[Reason, ...]]


def in_full(replay: Replay, found: Evidence, stored: Decision, at: datetime) -> Told | None:
    """What all rules of both sets come to, each judged for itself."""
    seen = as_fresh(found, stored.at, at)
    before = stored if replay.old is None else evaluate(replay.old, seen, at)
    after = evaluate(replay.new, seen, at)
    if (before.verdict, before.lets_in) == (after.verdict, after.lets_in):
        return None
    better = after.verdict is Verdict.ADMITTED or (after.verdict is before.verdict and after.lets_in)
    worse, other = (before, after) if better else (after, before)
    there = {one.rule for one in other.outcomes if blocks(one)} if before.verdict is not after.verdict else set()
    reasons = tuple(reason(one) for one in worse.outcomes if blocks(one) and one.rule not in there)
    return before.verdict, after.verdict, before.mode, after.mode, reasons


def told(change: VerdictChange) -> Told:
    return change.before, change.after, change.mode_before, change.mode_after, change.reasons


def blocks(outcome: RuleOutcome) -> bool:
    undecided = outcome.status is Status.UNDECIDED and outcome.effect is Effect.DENY
    return undecided or outcome.status is Status.DENIED


def reason(outcome: RuleOutcome) -> Reason:
    found = [one for one in outcome.violations if one.waiver is None]
    text = found[0].message if found else outcome.reason or outcome.why
    remedy = found[0].remedy if found else None
    return Reason(outcome.rule, outcome.policy, outcome.status, text, remedy or outcome.fix, len(found))


@given(st.data(), st.one_of(IMAGES, IMAGES, evidence), st.booleans(), st.sampled_from([0, 3, 30]))
@settings(deadline=None, max_examples=examples(150))
def test_an_impact_is_what_judging_everything_twice_tells(
    data: st.DataObject, found: Evidence, compare: bool, days: int
) -> None:
    old = data.draw(changed(SHIPPED))
    new = data.draw(changed(old))
    at = AT + timedelta(days=days)
    replay, stored = Replay(new, at, old if compare else None), evaluate(old, found, AT)
    change = change_of(replay, found, stored)
    assert (change and told(change)) == in_full(replay, found, stored, at)


@given(st.data(), IMAGES)
@settings(deadline=None, max_examples=examples(60))
def test_what_is_told_of_a_later_day_is_what_judging_everything_on_it_tells(
    data: st.DataObject, found: Evidence
) -> None:
    old = data.draw(changed(SHIPPED))
    new = data.draw(changed(old))
    replay, stored = Replay(new, AT, old, AT + timedelta(days=15)), evaluate(old, found, AT)
    change = change_of(replay, found, stored)
    if change is None or change.since is None:
        assert (in_full(replay, found, stored, AT) is None) == (change is None)
        return
    on = datetime.combine(change.since, AT.timetz())
    assert in_full(replay, found, stored, AT) is None
    assert in_full(replay, found, stored, on) == told(change)
