"""Which rules the policy tests have seen at work: a rule that no case makes fail may hold nothing back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from compliance.policy.decision import Decision, Status


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ids of the rules that found something in a case, and of those that passed in one."""

    found: frozenset[str]
    passed: frozenset[str]

    @classmethod
    def of(cls, decisions: Collection[Decision]) -> Coverage:
        """What these decisions on cases show; nothing, where there is none."""
        outcomes = [outcome for decision in decisions for outcome in decision.outcomes]
        return cls(
            frozenset(one.rule for one in outcomes if one.violations),
            frozenset(one.rule for one in outcomes if one.status is Status.PASSED),
        )
