"""A decision as one HTML page that needs nothing else: no script, no font, no picture, no network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from compliance.instants import in_utc
from compliance.policy.decision import Decision, RuleOutcome, Status
from compliance.policy.reports.excused import excused
from compliance.policy.reports.groups import (
    Group,
    Told,
    age,
    groups,
    headline_of,
    name,
    told,
    undecided,
)
from compliance.policy.reports.style import STYLE
from compliance.policy.wording import count, printable

_SAFE: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page's own content security policy: should text from an image ever become markup, it can load nothing."""

_WORDS: Final = {
    Status.DENIED: "refuse",
    Status.UNDECIDED: "undecided",
    Status.WARNED: "warn",
    Status.WAIVED: "waived",
    Status.PENDING: "wait for the image",
    Status.PASSED: "passed",
}


def to_html(decision: Decision) -> bytes:
    """The decision as an HTML 5 document, in UTF-8. Text from the image cannot add markup."""
    return ("\n".join(_document(decision)) + "\n").encode(errors="replace")


def _document(decision: Decision) -> Iterator[str]:
    title = f"{headline_of(decision)}: {name(decision.subject)}"
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield '<head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_SAFE}">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{_text(title)}</title>"
    yield f"<style>{STYLE}</style></head>"
    yield "<body>"
    yield '<a class="skip" href="#findings">Skip to the findings</a>'
    yield from _header(decision)
    yield '<main id="findings">'
    yield from _findings(decision)
    yield from _waived(decision)
    yield from _every_rule(decision)
    yield from _basis(decision)
    yield "</main></body></html>"


def _header(decision: Decision) -> Iterator[str]:
    yield "<header>"
    subject, headline = decision.subject, headline_of(decision)
    yield f'<h1><span class="verdict {decision.verdict}">{headline}</span> {_text(subject.repository)}</h1>'
    what = f"<code>{_text(subject.digest)}</code>" if subject.digest else "the lock, not built yet"
    stage = f", stage {_text(subject.stage)}" if subject.stage else ""
    yield f'<p class="soft">{what}{stage}, judged as of {_when(decision)}</p>'
    yield '<ul class="counts" aria-label="Rules by outcome">'
    for status, word in _WORDS.items():
        number = len(decision.with_status(status))
        if number:
            yield f'<li class="{status}"><strong>{number}</strong> {word}</li>'
    yield "</ul></header>"


def _when(decision: Decision) -> str:
    moment = in_utc(decision.at)
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M} UTC</time>'


def _findings(decision: Decision) -> Iterator[str]:
    found = told(decision)
    open_ = [line for one in found if one.outcome.status is Status.DENIED for line in _rule(one, expanded=True)]
    warned = [line for one in found if one.outcome.status is Status.WARNED for line in _rule(one, expanded=False)]
    lines = [*open_, *_undecided(decision), *warned]
    if lines:
        yield "<h2>Findings</h2>"
        yield from lines


def _rule(one: Told, *, expanded: bool) -> Iterator[str]:
    outcome = one.outcome
    mark = "Refused" if outcome.status is Status.DENIED else "Warning"
    amount = count(len(one.violations) + one.repeated, "finding")
    yield f"<details{' open' if expanded else ''}><summary>"
    yield f'<span class="{outcome.status}">{mark}:</span> <h3>{_text(outcome.rule)}</h3>'
    yield f'<span class="soft">({amount}, policy {_text(outcome.policy)})</span></summary><div>'
    yield f"<p>{_text(outcome.why)}</p>"
    if outcome.reason:
        yield f'<p class="soft">{_text(outcome.reason)}</p>'
    for group in groups(one.violations):
        yield from _group(group, outcome)
    if one.repeated:
        yield f'<p class="soft">{count(one.repeated, "finding")} named above already.</p>'
    yield "</div></details>"


def _group(group: Group, outcome: RuleOutcome) -> Iterator[str]:
    origin = f' <span class="soft">{_text(group.place)}</span>' if group.place else ""
    yield f'<div class="group"><h4>{_text(group.title)}{origin}</h4><ul>'
    yield from (f"<li>{_text(text)}</li>" for text in group.texts)
    yield "</ul>"
    for remedy in group.remedies or (outcome.fix,):
        yield f'<p class="do"><strong>Do:</strong> {_text(remedy)}</p>'
    yield "</div>"


def _undecided(decision: Decision) -> Iterator[str]:
    for unclear in undecided(decision):
        rules = ", ".join(_text(rule) for rule in unclear.rules)
        yield f'<details open><summary><span class="undecided">Undecided:</span> <h3>{rules}</h3></summary>'
        yield f"<div><p>{_text(unclear.reason)}</p></div></details>"


def _waived(decision: Decision) -> Iterator[str]:
    waived = excused(decision)
    if not waived:
        return
    yield "<h2>Waived</h2><ul>"
    for one in waived:
        yield f"<li>{_text(one.by)}<ul>"
        yield from (f"<li>{_text(finding)}</li>" for finding in one.findings)
        yield "</ul></li>"
    yield "</ul>"


def _every_rule(decision: Decision) -> Iterator[str]:
    yield "<h2>Every rule</h2><table><caption>What each rule of each policy said</caption>"
    yield '<thead><tr><th scope="col">Rule</th><th scope="col">Policy</th><th scope="col">Check</th>'
    yield '<th scope="col">Outcome</th></tr></thead><tbody>'
    for outcome in decision.outcomes:
        yield f'<tr><th scope="row">{_text(outcome.rule)}</th><td>{_text(outcome.policy)}</td>'
        yield f"<td>{_text(outcome.check)}</td>"
        reason = f'<br><span class="soft">{_text(outcome.reason)}</span>' if outcome.reason else ""
        yield f'<td><span class="{outcome.status}">{outcome.status}</span>{reason}</td></tr>'
    yield "</tbody></table>"


def _basis(decision: Decision) -> Iterator[str]:
    yield "<h2>What this rests on</h2><dl>"
    used = "; ".join(age(database, decision.at) for database in decision.databases) or "none"
    for term, value in (
        ("Vulnerability databases", used),
        ("Policies", ", ".join(decision.policies) or "none"),
        ("Policy digest", decision.policy_digest),
        ("Evidence digest", decision.evidence_digest),
    ):
        yield f"<dt>{term}</dt><dd>{_text(value)}</dd>"
    yield "</dl>"
    if decision.notes:
        yield "<h2>Notes</h2><ul>"
        yield from (f"<li>{_text(note)}</li>" for note in decision.notes)
        yield "</ul>"


def _text(text: object) -> str:
    """`text` as HTML text, without the characters that no document may hold."""
    return escape(printable(str(text)))
