"""A decision for a person at a terminal. It reads without colour, and at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from compliance.policy.decision import Decision, RuleOutcome, Status, Verdict
from compliance.policy.reports.excused import excused
from compliance.policy.reports.groups import (
    Group,
    Told,
    age,
    groups,
    headline_of,
    name,
    tally,
    told,
    undecided,
)
from compliance.policy.wording import count, printable

STYLES: Final = {Verdict.ADMITTED: "bold green", Verdict.REFUSED: "bold red", Verdict.UNDECIDABLE: "bold yellow"}
SHOWN_IN_A_GROUP: Final = 5
SHOWN_IN_A_RULE: Final = 20
SHOWN_IN_A_WARNING: Final = 5


def render(decision: Decision, console: Console, *, verbose: bool = False) -> None:
    """Print verdict, what breaks which rule, where it came from, what to do. `verbose` leaves nothing out."""
    headline = Text(headline_of(decision), style=STYLES[decision.verdict])
    headline.append(f" {printable(name(decision.subject))}", style="bold not dim")
    console.print(headline, soft_wrap=True, highlight=False)
    for indent, line in _lines(decision, verbose=verbose):
        line.plain = printable(line.plain)
        for part in line.wrap(console, max(20, console.width - indent)):
            part.rstrip()
            console.print(Text(" " * indent).append_text(part), soft_wrap=True, highlight=False)


Line = tuple[int, Text]
"""How far it is indented, and what it says."""


def _lines(decision: Decision, *, verbose: bool) -> Iterator[Line]:
    for one in told(decision):
        yield 0, Text()
        yield from _rule(one, verbose=verbose)
    for unclear in undecided(decision):
        yield 0, Text()
        yield 0, Text("undecided: ", style="yellow").append(", ".join(unclear.rules), style="bold not dim")
        yield 2, Text(unclear.reason)
    yield 0, Text()
    yield from _rest(decision, verbose=verbose)


_MARKS: Final = {
    Status.DENIED: ("refused", "red"),
    Status.WARNED: ("warning", "yellow"),
}


def _rule(told: Told, *, verbose: bool) -> Iterator[Line]:
    outcome, found = told.outcome, told.violations
    mark, style = _MARKS[outcome.status]
    title = Text(f"{mark}: ", style=style).append(outcome.rule, style="bold not dim")
    amount = count(len(found) + told.repeated, "finding")
    above = "" if found else ", named above already"
    yield 0, title.append(f" ({amount}{above}, policy {outcome.policy})", style="dim")
    if not found:
        return
    yield 2, Text(outcome.why, style="italic")
    if outcome.reason:
        yield 2, Text(outcome.reason)
    gathered = groups(found)
    limit = SHOWN_IN_A_WARNING if outcome.status is Status.WARNED else SHOWN_IN_A_RULE
    shown = gathered if verbose else gathered[:limit]
    for group in shown:
        yield from _group(group, outcome, verbose=verbose)
    if len(shown) < len(gathered):
        yield 2, Text(f"and {len(gathered) - len(shown)} more; --verbose shows all", style="dim")
    if told.repeated:
        yield 2, Text(f"{count(told.repeated, 'finding')} named above already", style="dim")


def _group(group: Group, outcome: RuleOutcome, *, verbose: bool) -> Iterator[Line]:
    title = Text(group.title, style="bold")
    origin = group.place if verbose else group.origin
    yield 2, title.append(f"  [{origin}]" if origin else "", style="not bold cyan")
    shown = group.texts if verbose else group.texts[:SHOWN_IN_A_GROUP]
    for text in shown:
        yield 4, Text(text)
    if len(shown) < len(group.texts):
        yield 4, Text(f"and {len(group.texts) - len(shown)} more", style="dim")
    for remedy in group.remedies or (outcome.fix,):
        yield 4, _remedy(remedy)


def _remedy(text: str) -> Text:
    return Text("-> ", style="green").append(text)


def _rest(decision: Decision, *, verbose: bool) -> Iterator[Line]:
    """What was waived, what waits, what passed, what the findings rest on."""
    for waiver in excused(decision):
        yield 0, Text("waived: ", style="cyan").append(waiver.by, style="default")
        yield from ((2, Text(finding, style="dim")) for finding in waiver.findings)
    pending = decision.with_status(Status.PENDING)
    if pending:
        yield 0, Text(f"waiting for the image: {', '.join(outcome.rule for outcome in pending)}")
    if verbose:
        for outcome in decision.with_status(Status.PASSED):
            yield 0, Text(f"passed: {outcome.rule} (policy {outcome.policy})", style="green")
    yield 0, Text(tally(decision))
    used = "; ".join(age(database, decision.at) for database in decision.databases) or "none"
    yield 0, Text(f"vulnerability databases: {used}")
    for note in decision.notes:
        yield 0, Text(f"note: {note}", style="dim")
