"""What excused something in a decision, with its reasons: waivers and VEX statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from compliance.evidence import Subject
from compliance.policy.decision import Exemption, RuleOutcome, Violation
from compliance.policy.model import Policy, PolicySet, Waiver
from compliance.policy.vex import VexStatement


def exemptions(
    policies: PolicySet, outcomes: Sequence[RuleOutcome], subject: Subject, at: datetime
) -> tuple[Exemption, ...]:
    """Each waiver and statement that excused a violation, once, sorted by file."""
    excused = [(outcome, one) for outcome in outcomes for one in outcome.violations if one.waiver is not None]
    if not excused:
        return ()
    waivers = {waiver.file: waiver for waiver in policies.waivers}
    by_name = {policy.name: policy for policy in policies.policies}
    found: dict[tuple[str, str], Exemption] = {}
    for outcome, violation in excused:
        waiver = waivers.get(violation.waiver or "")
        if waiver is not None:
            found[waiver.file, ""] = _of_waiver(waiver)
        else:
            made = _of_statement(policies, by_name[outcome.policy], violation, subject, at)
            found[made.file, made.vulnerability or ""] = made
    return tuple(found[key] for key in sorted(found))


def _of_waiver(waiver: Waiver) -> Exemption:
    return Exemption(
        file=waiver.file,
        by=waiver.owner,
        reason=waiver.reason,
        until=_end_of(waiver.expires),
        justification=waiver.justification,
        approved_by=tuple(one.by for one in waiver.approvals),
    )


def _of_statement(
    policies: PolicySet, policy: Policy, violation: Violation, subject: Subject, at: datetime
) -> Exemption:
    statement = policies.vex.about(violation, policy.vex, subject, at)
    if statement is None:
        raise LookupError(f"{violation.waiver} excused {violation.key}, and says nothing of it")
    return Exemption(
        file=statement.file,
        by=statement.author,
        reason=statement.reason,
        until=_until(statement, policy.vex.days),
        justification=statement.justification,
        vulnerability=violation.key,
    )


def _until(statement: VexStatement, days: int) -> datetime:
    try:
        return statement.made + timedelta(days=days)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)
