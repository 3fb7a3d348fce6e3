"""How new a release may be, for whoever chooses versions: so that a lock complies from the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from compliance.evidence import Subject
from compliance.instants import in_utc
from compliance.policy.checks.cooldown import CooldownParameters
from compliance.policy.checks.yanked import YankedParameters
from compliance.policy.decision import Effect
from compliance.policy.model import PolicySet
from compliance.policy.pattern import package_pattern


@dataclass(frozen=True, slots=True)
class ReleaseLimits:
    """The latest upload time that an artifact may have. `newest_of` are other limits by normalised name."""

    newest: datetime
    newest_of: Mapping[str, datetime] = field(default_factory=dict)


def release_limits(policies: PolicySet, subject: Subject, at: datetime) -> ReleaseLimits | None:
    """What the cooldown rules that would deny `subject` at this time come to; None where there are none.

    A package that a rule exempts by name has the limit of the others. An exemption of certain versions only
    is left out: versions are what is still to be chosen.
    """
    moment = in_utc(at)
    rules = [
        rule.parameters
        for policy in policies.enforced(subject)
        for rule in policy.rules
        if isinstance(rule.parameters, CooldownParameters) and rule.effect_at(moment) is Effect.DENY
    ]
    if not rules:
        return None
    exempt = [
        {pattern.name for pattern in map(package_pattern, one.exempt) if pattern.version is None} for one in rules
    ]
    limits = {name: moment - timedelta(days=_days(rules, exempt, name)) for name in sorted(set().union(*exempt))}
    return ReleaseLimits(moment - timedelta(days=max(one.days for one in rules)), limits)


def asks_yanked(policies: PolicySet, subject: Subject) -> bool:
    """Whether a rule for the subject looks at what indexes have withdrawn."""
    rules = (rule for policy in policies.for_subject(subject) for rule in policy.rules)
    return any(isinstance(rule.parameters, YankedParameters) for rule in rules)


def _days(rules: list[CooldownParameters], exempt: list[set[str]], name: str) -> int:
    return max((one.days for one, names in zip(rules, exempt, strict=True) if name not in names), default=0)
