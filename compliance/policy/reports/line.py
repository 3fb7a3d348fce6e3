"""A decision in one line, for clients that print nothing else."""

from __future__ import annotations

from typing import Final

from compliance.policy.decision import Decision, Verdict
from compliance.policy.reports.groups import HEADLINES, Told, groups, name, tally, told
from compliance.policy.wording import label, printable

MAX_LENGTH: Final = 300
_REMEDY_LENGTH: Final = 90


def one_line(decision: Decision) -> str:
    """Verdict, subject, rule, culprit, remedy, how many more: at most 300 characters and no line break."""
    headline = HEADLINES[decision.verdict]
    if decision.verdict is Verdict.ADMITTED:
        return _fit(f"{headline} {name(decision.subject)} ({tally(decision)})", MAX_LENGTH)
    blocking, _ = told(decision)
    first = blocking[0]
    more = sum(one.weight for one in blocking) - 1
    tail = _fit(f" -> {_remedy(first)}", _REMEDY_LENGTH) + (f" (+{more} more)" if more else "")
    text = f"{headline} {decision.subject.repository}: {first.outcome.rule}: {_culprit(first)}"
    return _fit(text, MAX_LENGTH - len(tail)) + tail


def _culprit(told: Told) -> str:
    if not told.violations:
        return told.outcome.reason or "could not be decided"
    first = told.violations[0]
    if first.culprit.startswith("pkg:") and f" in {label(first.culprit)}" in first.message:
        return f"{first.key} in {label(first.culprit)}"
    return first.message


def _remedy(told: Told) -> str:
    found = groups(told.violations)
    return found[0].remedies[0] if found and found[0].remedies else told.outcome.fix


def _fit(text: str, length: int) -> str:
    """`text` as one line of printable characters, cut to `length`."""
    line = (" " if text.startswith(" ") else "") + " ".join(printable(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"
