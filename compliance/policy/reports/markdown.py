"""A decision for a CI summary or a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from compliance.policy.decision import Decision, Status
from compliance.policy.reports.excused import excused
from compliance.policy.reports.groups import (
    Told,
    age,
    groups,
    headline_of,
    name,
    tally,
    told,
    undecided,
)
from compliance.policy.wording import count

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|#~!])")


def to_markdown(decision: Decision) -> str:
    """The decision as GitHub-flavoured Markdown, ending in a line break. Text from the image cannot add markup."""
    return "\n".join(_lines(decision)) + "\n"


def _lines(decision: Decision) -> Iterator[str]:
    yield f"## {headline_of(decision)} {plain(name(decision.subject))}"
    for rule in told(decision):
        yield from _rule(rule)
    for unclear in undecided(decision):
        yield from ("", f"### Undecided: {plain(', '.join(unclear.rules))}", "", plain(unclear.reason))
    waived = excused(decision)
    if waived:
        yield from ("", "### Waived", "")
        for one in waived:
            yield f"- {plain(one.by)}"
            yield from (f"  - {plain(finding)}" for finding in one.findings)
    yield ""
    pending = decision.with_status(Status.PENDING)
    if pending:
        yield f"Waiting for the image: {', '.join(plain(outcome.rule) for outcome in pending)}.  "
    yield f"{tally(decision)}.  "
    used = "; ".join(age(database, decision.at) for database in decision.databases) or "none"
    yield f"Vulnerability databases: {plain(used)}."
    if decision.notes:
        yield ""
        yield from (f"- {plain(note)}" for note in decision.notes)


_MARKS: Final = {Status.DENIED: "Refused", Status.WARNED: "Warning"}


def _rule(told: Told) -> Iterator[str]:
    outcome, found = told.outcome, groups(told.violations)
    yield from ("", f"### {_MARKS[outcome.status]}: {plain(outcome.rule)}", "")
    if told.repeated:
        yield f"{count(told.repeated, 'finding')} named above already."
    if not found:
        return
    yield from (plain(outcome.why), "")
    if outcome.reason:
        yield from (plain(outcome.reason), "")
    yield "| What | From | Findings | Do |"
    yield "|---|---|---|---|"
    for group in found:
        findings = "<br>".join(plain(text) for text in group.texts)
        remedies = "<br>".join(plain(text) for text in group.remedies or (outcome.fix,))
        yield f"| {plain(group.title)} | {plain(group.place)} | {findings} | {remedies} |"


def plain(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown would read as markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
