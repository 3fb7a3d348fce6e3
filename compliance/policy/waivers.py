"""Which violations are excused, and what is to be said about the waivers themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from compliance.evidence import Subject
from compliance.policy.decision import RuleOutcome, Status, Violation
from compliance.policy.model import Waiver
from compliance.policy.pattern import matches

EXPIRY_NOTICE_DAYS: Final = 14


def counts_on(waiver: Waiver, day: date) -> bool:
    """Whether the waiver counts on this day: both ends included."""
    return waiver.created <= day <= waiver.expires


def covers(waiver: Waiver, rule: str, violation: Violation) -> bool:
    """Whether the waiver names this violation of this rule."""
    return (
        waiver.rule == rule
        and (waiver.vulnerability is None or waiver.vulnerability in (violation.key, *violation.aliases))
        and (waiver.package is None or waiver.package.covers(violation.culprit))
        and (waiver.path is None or matches(waiver.path.lstrip("/"), violation.key.lstrip("/")))
        and (waiver.key is None or waiver.key == violation.key)
    )


def waive(
    violations: Iterable[Violation], rule: str, waivers: Sequence[Waiver], subject: Subject, at: datetime
) -> tuple[Violation, ...]:
    """The violations, each marked with the first waiver in force that covers it."""
    day = at.date()
    in_force = [one for one in waivers if one.rule == rule and counts_on(one, day) and one.scope.covers(subject)]
    if not in_force:
        return tuple(violations)
    return tuple(
        replace(violation, waiver=next((one.file for one in in_force if covers(one, rule, violation)), None))
        for violation in violations
    )


def notes(
    waivers: Sequence[Waiver], outcomes: Sequence[RuleOutcome], subject: Subject, at: datetime
) -> tuple[str, ...]:
    """What the owners of waivers in scope should know: expired, soon to expire, not begun, or unused."""
    day = at.date()
    by_rule = {outcome.rule: outcome for outcome in outcomes}
    said = (
        _note(waiver, by_rule[waiver.rule], day)
        for waiver in waivers
        if waiver.rule in by_rule and waiver.scope.covers(subject)
    )
    return tuple(note for note in said if note is not None)


def _note(waiver: Waiver, outcome: RuleOutcome, day: date) -> str | None:
    name = f"waiver {waiver.file} ({waiver.owner})"
    if day > waiver.expires:
        needed = any(covers(waiver, waiver.rule, violation) for violation in outcome.violations)
        still = "what it excused is still there" if needed else "it can be deleted"
        return f"{name} expired on {waiver.expires}; {still}"
    if day < waiver.created:
        return f"{name} does not count before {waiver.created}"
    if outcome.status in (Status.UNDECIDED, Status.PENDING):
        return None
    if not any(violation.waiver == waiver.file for violation in outcome.violations):
        return f"{name} excuses nothing here: it can be deleted or its scope narrowed"
    left = (waiver.expires - day).days
    return f"{name} expires on {waiver.expires}, in {left} days" if left <= EXPIRY_NOTICE_DAYS else None
