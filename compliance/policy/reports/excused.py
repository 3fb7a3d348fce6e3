"""What was excused in a decision, by what: the words for it, in whatever form a report has."""

from __future__ import annotations

from dataclasses import dataclass

from compliance.instants import in_utc
from compliance.policy.decision import Decision, Exemption, Violation
from compliance.policy.wording import label


@dataclass(frozen=True, slots=True)
class Excused:
    """What one waiver or VEX statement excused, a line each. `by` names it, with its reasons."""

    by: str
    findings: tuple[str, ...]


def excused(decision: Decision) -> tuple[Excused, ...]:
    """Everything that was excused, gathered by what excused it, in order of first appearance."""
    gathered: dict[str, list[str]] = {}
    for outcome in decision.outcomes:
        for one in outcome.violations:
            if one.waiver is not None:
                found = f"{outcome.rule}: {one.key} in {label(one.culprit)}"
                gathered.setdefault(excuse_of(decision, one), []).append(found)
    return tuple(Excused(by, tuple(dict.fromkeys(findings))) for by, findings in gathered.items())


def excuse_of(decision: Decision, violation: Violation) -> str:
    """What excuses a violation: its file, who stands for it, until when and why; empty where nothing does."""
    file = violation.waiver or ""
    for vulnerability in (violation.key, None):
        for one in decision.exemptions:
            if (one.file, one.vulnerability) == (file, vulnerability):
                return f"{file} ({one.by}, until {in_utc(one.until).date()}): {_reasons(one)}"
    return file


def _reasons(exemption: Exemption) -> str:
    stated = [exemption.justification] if exemption.justification else []
    if exemption.approved_by:
        stated.append(f"approved by {', '.join(exemption.approved_by)}")
    said = exemption.reason or "no reason in words"
    return f"{said} ({'; '.join(stated)})" if stated else said
