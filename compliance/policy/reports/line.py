"""A decision in one line, for clients that print nothing else."""

from __future__ import annotations

from typing import Final

from compliance.policy.decision import Decision, Status, Verdict
from compliance.policy.reports.groups import Told, groups, headline_of, name, tally, told, undecided
from compliance.policy.wording import label, printable

MAX_LENGTH: Final = 300
_REMEDY_LENGTH: Final = 90


def one_line(decision: Decision) -> str:
    """Verdict, subject, rule, culprit, remedy, how many more: at most 300 characters and no line break."""
    headline = headline_of(decision)
    if decision.verdict is Verdict.ADMITTED:
        return _fit(f"{headline} {name(decision.subject)} ({tally(decision)})", MAX_LENGTH)
    refusing = [one for one in told(decision) if one.outcome.status is Status.DENIED and one.violations]
    unclear = [(rule, one.reason) for one in undecided(decision) for rule in one.blocking]
    more = sum(len(one.violations) for one in refusing) + len(unclear) - 1
    if refusing:
        said, remedy = _refusal(refusing[0])
    else:
        said, remedy = ": ".join(unclear[0]) if unclear else tally(decision), ""
    tail = _fit(remedy, _REMEDY_LENGTH) + (f" (+{more} more)" if more > 0 else "")
    return _fit(f"{headline} {decision.subject.repository}: {said}", MAX_LENGTH - len(tail)) + tail


def _refusal(told: Told) -> tuple[str, str]:
    """What a rule found first, and what to do about it."""
    first = told.violations[0]
    found = label(first.culprit)
    what = (
        f"{first.key} in {found}" if f" in {found}" in first.message and found != first.culprit else first.message
    )
    remedies = groups(told.violations)[0].remedies
    return f"{told.outcome.rule}: {what}", f" -> {remedies[0] if remedies else told.outcome.fix}"


def _fit(text: str, length: int) -> str:
    """`text` as one line of printable characters, cut to `length`."""
    line = (" " if text.startswith(" ") else "") + " ".join(printable(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"
