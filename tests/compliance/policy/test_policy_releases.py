"""How new a release may be, from the cooldown rules that are in force for a subject."""

from __future__ import annotations

from datetime import date, timedelta

from compliance.evidence import Subject
from compliance.oci.digest import Digest
from compliance.policy.all_checks import checks
from compliance.policy.decision import Effect
from compliance.policy.model import Policy, PolicySet, Reach, Rule
from compliance.policy.releases import ReleaseLimits, release_limits
from tests.compliance.policy.policy_evidence import AT

SUBJECT = Subject("serving/iris")


def rule(days: int, *exempt: str, effect: Effect = Effect.DENY, enforce_from: date | None = None) -> Rule:
    check = checks()["cooldown"]
    return Rule("r", check, check.parameters(days=days, exempt=exempt), effect, "why", "fix", enforce_from)


def limits(*rules: Rule, reach: Reach | None = None) -> ReleaseLimits | None:
    policies = PolicySet((Policy("p", "p.yaml", rules, reach=reach),), (), Digest.of(b"p"))
    return release_limits(policies, SUBJECT, AT)


def ago(days: int) -> object:
    return AT - timedelta(days=days)


def test_the_longest_wait_counts() -> None:
    assert limits(rule(3), rule(14)) == ReleaseLimits(AT - timedelta(days=14))


def test_only_rules_that_deny_now_and_here_count() -> None:
    assert limits() is None
    assert limits(rule(3, effect=Effect.WARN)) is None
    assert limits(rule(3, enforce_from=date(2026, 11, 23))) is None
    assert limits(rule(3), reach=Reach(repositories=("training/**",))) is None
    found = limits(rule(3, enforce_from=date(2026, 11, 22)))
    assert found is not None
    assert found.newest == ago(3)


def test_what_one_rule_exempts_waits_for_the_others() -> None:
    found = limits(rule(3, "Our_Kit", "pkg:pypi/other@1.*"), rule(14, "our-kit", "our-tools"), rule(7))
    assert found is not None
    assert found.newest_of == {"our-kit": ago(7), "our-tools": ago(7)}
    alone = limits(rule(3, "our-kit"))
    assert alone is not None
    assert alone.newest_of == {"our-kit": AT}
