"""What is doubtful about a set of policies that loads: rules that can never apply, that add nothing, that no
test has seen at work, waivers that excuse nothing, statements of authors whom nobody trusts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Final

from compliance.policy.coverage import Coverage
from compliance.policy.decision import Decision, Effect, Mode, Status
from compliance.policy.model import Policy, PolicySet, Rule, Waiver
from compliance.policy.strictness import Tone, parameter_changes
from compliance.policy.waivers import EXPIRY_NOTICE_DAYS
from compliance.policy.wording import count

_REPOSITORY: Final = re.compile(r"[a-z0-9/._*?\[\]!^-]+")
"""What a pattern may hold besides wildcards and still fit a repository's name (distribution specification)."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something doubtful. `file` is below the directory of policies, `place` the path of keys in it."""

    file: str
    place: tuple[str | int, ...]
    text: str


def lint(
    policies: PolicySet,
    at: datetime,
    *,
    decisions: Collection[Decision] = (),
    tested: Coverage | None = None,
) -> tuple[Remark, ...]:
    """Everything doubtful as of `at`.

    `decisions` are what the waivers were used in: one that excused nothing in any of them is remarked on.
    `tested` is what the policy tests have seen, where they were to be run: none of them is remarked on too.
    """
    day = at.date()
    remarks = [
        remark
        for policy in policies.policies
        for remark in (
            *_of_policy(policy),
            *_of_rules(policies, policy, day),
            *_of_tests(policies, policy, tested),
        )
    ]
    remarks += [remark for waiver in policies.waivers for remark in _of_waiver(policies, waiver, day, decisions)]
    remarks += _of_statements(policies)
    return tuple(remarks)


def _of_policy(policy: Policy) -> Iterator[Remark]:
    if not policy.rules and not policy.extends:
        yield Remark(policy.file, (), f"policy {policy.name!r} has no rules and extends none: it judges nothing")
    if policy.mode is Mode.AUDIT and policy.reach is not None:
        where = ", ".join(policy.reach.repositories)
        yield Remark(
            policy.file, ("mode",), f"policy {policy.name!r} only audits: its rules block nothing in {where}"
        )
    for index, pattern in enumerate(policy.reach.repositories if policy.reach else ()):
        if not _can_fit(pattern):
            text = f"{pattern!r} can fit no repository: names are lower-case, without registry, tag and leading /"
            yield Remark(policy.file, ("applies-to", "repositories", index), text)


def _of_rules(policies: PolicySet, policy: Policy, day: date) -> Iterator[Remark]:
    for index, rule in enumerate(policy.rules):
        place = ("rules", index)
        if _never_applies(policies, policy):
            yield Remark(policy.file, place, f"rule {rule.id!r} can never apply: its policy fits no image")
        if rule.enforce_from is not None and rule.enforce_from <= day:
            yield Remark(
                policy.file,
                (*place, "enforce-from"),
                f"rule {rule.id!r} denies since {rule.enforce_from}: enforce-from can go",
            )
        above = _shadowing(policies, policy, rule, day)
        if above is not None:
            yield Remark(policy.file, place, above)


def _of_tests(policies: PolicySet, policy: Policy, tested: Coverage | None) -> Iterator[Remark]:
    """Rules that no case makes fail or pass: of a policy that no case reaches one remark, not one for each."""
    if tested is None or not policy.rules or _never_applies(policies, policy):
        return
    file = f"tests/{policy.file}"
    seen = tested.found | tested.passed
    if not any(rule.id in seen for rule in policy.rules):
        text = f"no policy test is about policy {policy.name!r}, nothing shows what it refuses"
        first = policy.rules[0]
        todo = f"add cases to {file} that expect {_expected(first, _failure(first))}, and so for each rule"
        yield Remark(policy.file, ("rules",), f"{text}: {todo}")
        return
    for index, rule in enumerate(policy.rules):
        unseen = {
            verb: _expected(rule, status)
            for verb, status, ids in (
                ("fails", _failure(rule), tested.found),
                ("passes", Status.PASSED, tested.passed),
            )
            if rule.id not in ids
        }
        if unseen:
            todo = f"add a case to {file} that expects {' and one that expects '.join(unseen.values())}"
            text = f"rule {rule.id!r} {' or '.join(unseen)} in no policy test: {todo}"
            yield Remark(policy.file, ("rules", index), text)


def _failure(rule: Rule) -> Status:
    return Status.WARNED if rule.effect is Effect.WARN else Status.DENIED


def _expected(rule: Rule, status: Status) -> str:
    """How a case says that it expects this, on a day when the rule is in force."""
    day = f", with `at: {rule.enforce_from}`" if rule.enforce_from and status is Status.DENIED else ""
    return f"`rules: {{{rule.id}: {status}}}`{day}"


def _never_applies(policies: PolicySet, policy: Policy) -> bool:
    return _reaches_nothing(policy) and not _extended(policies, policy)


def _reaches_nothing(policy: Policy) -> bool:
    reach = policy.reach
    return (
        reach is not None
        and not reach.is_all_but_exceptions
        and not reach.stages
        and not any(map(_can_fit, reach.repositories))
    )


def _can_fit(pattern: str) -> bool:
    """Whether a repository can have a name that fits the pattern."""
    return _REPOSITORY.fullmatch(pattern) is not None and not pattern.startswith("/") and "//" not in pattern


def _extended(policies: PolicySet, policy: Policy) -> bool:
    return any(policy.name in other.extends for other in policies.policies)


def _shadowing(policies: PolicySet, policy: Policy, rule: Rule, day: date) -> str | None:
    """Why a rule adds nothing: another that is at least as strict always applies where it does."""
    for other_policy, other in policies.rules():
        if other.id == rule.id or other.check.name != rule.check.name:
            continue
        if not _always_with(policies, policy, other_policy) or _effect(other, day) < _effect(rule, day):
            continue
        tones = {one.tone for one in parameter_changes(rule.check, rule.parameters, other.parameters)}
        twins = not tones and _effect(other, day) == _effect(rule, day)
        if twins and not _stands_before(policies, other, rule):
            continue  # of two that say the same, the later one is remarked on
        if tones <= {Tone.STRICTER}:
            how = "says the same as" if twins else "finds nothing that is not found already by"
            return f"rule {rule.id!r} {how} {other.id!r} ({other_policy.file}), which applies wherever it does"
    return None


def _effect(rule: Rule, day: date) -> int:
    """0 warns, 1 will deny, 2 denies: what one rule leaves to another depends on when both deny."""
    if rule.effect is Effect.WARN:
        return 0
    return 1 if rule.enforce_from is not None and rule.enforce_from > day else 2


def _always_with(policies: PolicySet, policy: Policy, other: Policy) -> bool:
    """Whether `other` applies to every subject that `policy` applies to."""
    if other.reach is None or other.name == policy.name:
        return True
    by_name = {one.name: one for one in policies.policies}
    extended, waiting = set[str](), list(policy.extends)
    while waiting:
        name = waiting.pop()
        if name not in extended:
            extended.add(name)
            waiting += by_name[name].extends
    return other.name in extended


def _stands_before(policies: PolicySet, one: Rule, other: Rule) -> bool:
    ids = [rule.id for _, rule in policies.rules()]
    return ids.index(one.id) < ids.index(other.id)


def _of_waiver(
    policies: PolicySet, waiver: Waiver, day: date, decisions: Collection[Decision]
) -> Iterator[Remark]:
    left = (waiver.expires - day).days
    if left < 0:
        yield Remark(waiver.file, ("expires",), f"expired on {waiver.expires}: renew or delete it")
    elif day < waiver.created:
        yield Remark(waiver.file, ("created",), f"does not count before {waiver.created}")
    elif left <= EXPIRY_NOTICE_DAYS:
        yield Remark(waiver.file, ("expires",), f"expires on {waiver.expires}, in {count(left, 'day')}")
    rule = next((rule for _, rule in policies.rules() if rule.id == waiver.rule), None)
    if rule is not None and rule.effect is Effect.WARN:
        yield Remark(waiver.file, ("rule",), f"rule {rule.id!r} only warns: there is nothing to waive")
    if decisions and left >= 0 and not _used(waiver, decisions):
        judged = [one for one in decisions if waiver.scope.covers(one.subject)]
        where = f"in none of {count(len(judged), 'judged image')} in its scope" if judged else "in no judged image"
        yield Remark(waiver.file, (), f"excuses nothing {where}: delete it or narrow its scope")


def _of_statements(policies: PolicySet) -> Iterator[Remark]:
    """VEX statements of authors whom no policy trusts: a file and author once, however many there are."""
    trusted = sorted({author for policy in policies.policies for author in policy.vex.authors})
    for (file, author), number in Counter((one.file, one.author) for one in policies.vex.statements).items():
        if author in trusted:
            continue
        near = next(iter(get_close_matches(author, trusted, n=1)), None)
        text = f"no policy trusts {author!r}: {count(number, 'statement')} without effect"
        known = f" ({near!r} is trusted)" if near else ""
        todo = "name the author under `vex: authors:` in a policy, or delete the file"
        yield Remark(file, (), f"{text}{known}; {todo}")


def _used(waiver: Waiver, decisions: Collection[Decision]) -> bool:
    return any(
        violation.waiver == waiver.file
        for decision in decisions
        for outcome in decision.outcomes
        if outcome.rule == waiver.rule
        for violation in outcome.violations
    )
