"""`mlbuild policy explain`: a rule or a check, told to a person or as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from compliance.document import nearest
from compliance.errors import InvalidInput
from compliance.policy.all_checks import checks
from compliance.policy.check import AnyCheck
from compliance.policy.decision import Effect
from compliance.policy.difference import reach_words
from compliance.policy.later_words import later_words
from compliance.policy.model import Policy, PolicySet, Rule
from compliance.policy.strictness import Tone, direction_of, flow, values_of
from compliance.policy.wording import count

_DIRECTIONS = {Tone.STRICTER: "more is stricter", Tone.LOOSER: "more is looser"}


def find(policies: PolicySet, name: str) -> tuple[Policy, Rule] | AnyCheck:
    """The rule with this id, else the check of this name. Raises InvalidInput, with the nearest name."""
    rules = {rule.id: (policy, rule) for policy, rule in policies.rules()}
    found = rules.get(name) or checks().get(name)
    if found is None:
        near = nearest(name, [*rules, *checks()])
        hint = f", did you mean {near!r}?" if near else ""
        raise InvalidInput(f"there is no rule or check {name!r}{hint}", remedy=f"Rules: {', '.join(rules)}.")
    return found


def subjects(policies: PolicySet, policy: Policy) -> tuple[str, ...]:
    """For which images a policy's rules apply: its own reach, and that of the policies that extend it."""
    bringing = [policy]
    for one in bringing:
        bringing += [other for other in policies.policies if one.name in other.extends and other not in bringing]
    return tuple(f"{reach_words(one)} (policy {one.name})" for one in bringing)


def facts_of(policies: PolicySet, name: str) -> dict[str, Any]:
    """The same as `explanation`, as data."""
    found = find(policies, name)
    if not isinstance(found, tuple):
        return {"check": found.name, "text": found.text, "parameters": _parameters(found)}
    policy, rule = found
    return {
        "rule": rule.id,
        "policy": policy.name,
        "file": policy.file,
        "effect": rule.effect,
        "enforce_from": str(rule.enforce_from) if rule.enforce_from else None,
        "waivable": rule.waivable,
        "later": {"counts": rule.later.counts, "pullable_days": rule.later.pullable_days},
        "why": rule.why,
        "fix": rule.fix,
        "applies_to": list(subjects(policies, policy)),
        "check": rule.check.name,
        "text": rule.check.text,
        "parameters": values_of(rule.parameters),
        "waivers": [waiver.file for waiver in policies.waivers if waiver.rule == rule.id],
    }


def explanation(policies: PolicySet, name: str) -> Iterator[Text]:
    """What a rule does, why, for whom and with which parameters; or what a check does and takes."""
    found = find(policies, name)
    if isinstance(found, tuple):
        yield from _rule(policies, *found)
        return
    yield Text(found.name, style="bold").append(" (a check)", style="not bold dim")
    yield from _check_text(found)
    yield Text("parameters", style="bold")
    for parameter in _parameters(found):
        default = "required" if parameter["required"] else f"{flow(parameter['default'])} when left out"
        yield Text(f"  {parameter['name']}", style="cyan").append(f" ({default})", style="default")
        yield Text(f"    {parameter['description']}")
    using = [rule.id for _, rule in policies.rules() if rule.check.name == found.name]
    yield Text(f"used by {', '.join(using)}" if using else "used by no rule here")


def _rule(policies: PolicySet, policy: Policy, rule: Rule) -> Iterator[Text]:
    announced = f", which begins on {rule.enforce_from} and warns before" if rule.enforce_from else ""
    yield Text(rule.id, style="bold").append(f" ({rule.effect}{announced}; {policy.file})", style="not bold dim")
    yield Text(f"  why: {rule.why}")
    yield Text(f"  fix: {rule.fix}")
    yield Text("applies to", style="bold")
    yield from (Text(f"  {one}") for one in subjects(policies, policy))
    if rule.effect is Effect.DENY:
        yield Text("later", style="bold")
        yield Text(f"  {later_words(policy, rule)}")
    yield Text(f"checks {rule.check.name}", style="bold")
    yield from _check_text(rule.check)
    yield Text("with", style="bold")
    descriptions = {one["name"]: one["description"] for one in _parameters(rule.check)}
    for name, value in values_of(rule.parameters).items():
        yield Text(f"  {name}: ", style="cyan").append(flow(value), style="default")
        yield Text(f"    {descriptions[name]}", style="dim")
    yield Text("waivers", style="bold")
    if not rule.waivable:
        yield Text("  this rule cannot be waived")
        return
    selectors = " or ".join(sorted(rule.check.waived_by))
    yield Text(f"  by {selectors}, for at most {count(policy.waiver_days, 'day')}")
    for waiver in policies.waivers:
        if waiver.rule == rule.id:
            yield Text(f"  {waiver.file}: until {waiver.expires}, {waiver.owner}")


def _check_text(check: AnyCheck) -> Iterator[Text]:
    for line in check.text.splitlines():
        yield Text(f"  {line}".rstrip())


def _parameters(check: AnyCheck) -> list[dict[str, Any]]:
    schema = check.parameters.model_json_schema(by_alias=True)
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "required": name in required,
            "default": field.get("default"),
            "description": field.get("description", ""),
            "direction": _DIRECTIONS.get(direction_of(name) or Tone.CHANGED),
        }
        for name, field in schema.get("properties", {}).items()
    ]
