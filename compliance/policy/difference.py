"""What became stricter or looser from one set of policies to another, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from compliance.policy.decision import Effect, Mode
from compliance.policy.later_words import later_changes, rule_later_changes
from compliance.policy.model import Policy, PolicySet, Rule, Waiver
from compliance.policy.strictness import Tone, parameter_changes
from compliance.policy.wording import count


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed. `rule` is None where it is about a policy or a waiver as a whole."""

    tone: Tone
    policy: str
    rule: str | None
    text: str


def difference(old: PolicySet, new: PolicySet) -> tuple[Change, ...]:
    """Everything that changed from `old` to `new`: policies, then rules, then waivers. Wording is no change."""
    return (*_policy_changes(old, new), *_rule_changes(old, new), *_waiver_changes(old, new))


def _policy_changes(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    before, after = ({policy.name: policy for policy in one.policies} for one in (old, new))
    for name in sorted({*before, *after}):
        if name not in before:
            audits = after[name].mode is Mode.AUDIT
            text = f"new policy, {'only audits' if audits else 'for'} {reach_words(after[name])}"
            yield Change(Tone.LOOSER if audits else Tone.STRICTER, name, None, text)
        elif name not in after:
            yield Change(Tone.LOOSER, name, None, f"policy removed, it was for {reach_words(before[name])}")
        else:
            for tone, text in _between(before[name], after[name]):
                yield Change(tone, name, None, text)


def _between(old: Policy, new: Policy) -> Iterator[tuple[Tone, str]]:
    if old.reach is None and new.reach is not None:
        yield Tone.LOOSER, f"only for {reach_words(new)}, was for every image"
    elif old.reach is not None and new.reach is None:
        yield Tone.STRICTER, f"for every image, was only for {reach_words(old)}"
    elif old.reach is not None and new.reach is not None:
        yield from _more("applies to stage", old.reach.stages, new.reach.stages)
        yield from _more("applies to repositories", old.reach.repositories, new.reach.repositories)
        for tone, text in _more("is kept from repositories", old.reach.exceptions, new.reach.exceptions):
            yield Tone.LOOSER if tone is Tone.STRICTER else Tone.STRICTER, text
    yield from _more("extends", old.extends, new.extends)
    if old.mode is not new.mode:
        audits = new.mode is Mode.AUDIT
        yield (
            (Tone.LOOSER, "only audits now, was enforced")
            if audits
            else (Tone.STRICTER, "enforced now, only audited before")
        )
    if old.waiver_days != new.waiver_days:
        tone = Tone.LOOSER if new.waiver_days > old.waiver_days else Tone.STRICTER
        yield tone, f"waivers may run {count(new.waiver_days, 'day')}, was {old.waiver_days}"
    yield from later_changes(old, new)


def _more(what: str, old: Iterable[str], new: Iterable[str]) -> Iterator[tuple[Tone, str]]:
    added, gone = sorted({*new} - {*old}), sorted({*old} - {*new})
    if added:
        yield Tone.STRICTER, f"{what} {', '.join(added)} too"
    if gone:
        yield Tone.LOOSER, f"no longer {what} {', '.join(gone)}"


def reach_words(policy: Policy) -> str:
    """Which images a policy is for, its own `applies-to` alone considered."""
    if policy.reach is None:
        return "every image"
    parts = [f"stage {stage}" for stage in policy.reach.stages]
    parts += [f"repositories {one}" for one in policy.reach.repositories]
    but = f" but not repositories {', '.join(policy.reach.exceptions)}" if policy.reach.exceptions else ""
    return (" or ".join(parts) or "every image") + but


def _rule_changes(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    before, after = ({rule.id: (policy, rule) for policy, rule in one.rules()} for one in (old, new))
    for name in (*after, *(name for name in before if name not in after)):
        if name not in before:
            policy, rule = after[name]
            yield Change(Tone.STRICTER, policy.name, name, f"new rule: {_verb(rule)} by {rule.check.name}")
        elif name not in after:
            policy, rule = before[name]
            yield Change(Tone.LOOSER, policy.name, name, f"rule removed: it {_verb(rule)} by {rule.check.name}")
        else:
            (was_in, was), (policy, rule) = before[name], after[name]
            if was_in.name != policy.name:
                yield Change(Tone.CHANGED, policy.name, name, f"moved here from policy {was_in.name}")
            for tone, text in _between_rules(was, rule):
                yield Change(tone, policy.name, name, text)


def _verb(rule: Rule) -> str:
    announced = f" from {rule.enforce_from}" if rule.enforce_from else ""
    return {Effect.DENY: f"denies{announced}", Effect.WARN: "warns"}[rule.effect]


def _between_rules(old: Rule, new: Rule) -> Iterator[tuple[Tone, str]]:
    if old.effect is not new.effect:
        tone = Tone.STRICTER if new.effect is Effect.DENY else Tone.LOOSER
        yield tone, f"{_verb(new)}, {'warned' if old.effect is Effect.WARN else 'denied'} before"
    elif old.enforce_from != new.enforce_from:
        yield _sooner(old.enforce_from, new.enforce_from), f"{_verb(new)}, was {_since(old)}"
    yield from rule_later_changes(old, new)
    if old.waivable != new.waivable:
        yield ((Tone.LOOSER, "may be waived now") if new.waivable else (Tone.STRICTER, "may no longer be waived"))
    if old.check.name != new.check.name:
        yield Tone.CHANGED, f"checks {new.check.name}, was {old.check.name}"
    else:
        for change in parameter_changes(new.check, old.parameters, new.parameters):
            yield change.tone, change.text


def _sooner(old: date | None, new: date | None) -> Tone:
    """A denial that begins earlier is stricter; without a date it has always been one."""
    return Tone.STRICTER if (new or date.min) < (old or date.min) else Tone.LOOSER


def _since(rule: Rule) -> str:
    return f"from {rule.enforce_from}" if rule.enforce_from else "at once"


def _waiver_changes(old: PolicySet, new: PolicySet) -> Iterator[Change]:
    before, after = ({waiver.file: waiver for waiver in one.waivers} for one in (old, new))
    for file in sorted({*before, *after}):
        if file not in before:
            yield _about(new, after[file], Tone.LOOSER, f"new waiver {file}: {_excuses(after[file])}")
        elif file not in after:
            yield _about(old, before[file], Tone.STRICTER, f"waiver {file} removed: {_excuses(before[file])}")
        elif before[file] != after[file]:
            tone, text = _between_waivers(before[file], after[file])
            yield _about(new, after[file], tone, f"waiver {file}: {text}")


def _about(policies: PolicySet, waiver: Waiver, tone: Tone, text: str) -> Change:
    owner = next((policy.name for policy, rule in policies.rules() if rule.id == waiver.rule), "none")
    return Change(tone, owner, waiver.rule, text)


def _excuses(waiver: Waiver) -> str:
    named = (waiver.vulnerability, waiver.package and waiver.package.name, waiver.path, waiver.key)
    what = " in ".join(one for one in named if one)
    return f"excuses {what} until {waiver.expires} ({waiver.owner})"


def _between_waivers(old: Waiver, new: Waiver) -> tuple[Tone, str]:
    """Only its dates can be weighed; a waiver that names something else excuses one thing and not another."""
    same = all(
        getattr(old, part) == getattr(new, part)
        for part in ("rule", "vulnerability", "package", "path", "key", "scope")
    )
    if not same:
        return Tone.CHANGED, f"now {_excuses(new)}"
    if (old.created, old.expires) == (new.created, new.expires):
        return Tone.CHANGED, "its owner, reason or approvals changed"
    longer, shorter = (
        new.created <= old.created and new.expires >= old.expires,
        new.created >= old.created and new.expires <= old.expires,
    )
    tone = Tone.LOOSER if longer else Tone.STRICTER if shorter else Tone.CHANGED
    return tone, f"counts from {new.created} to {new.expires}, was {old.created} to {old.expires}"
