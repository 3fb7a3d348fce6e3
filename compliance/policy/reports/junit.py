"""A decision as JUnit XML: a test suite a policy, a test case a rule, for CI servers that list tests.

A denied rule failed, an undecided one that would deny is an error, one that waits for the image is skipped.
Warnings pass, and say what they found in the case's output.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from compliance.instants import in_utc
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status
from compliance.policy.reports.excused import excuse_of
from compliance.policy.reports.groups import headline_of, name
from compliance.policy.wording import count, origin_words, place_words, printable


def to_junit(decision: Decision) -> bytes:
    """The decision as a `testsuites` document, in UTF-8."""
    root = Element("testsuites", name=printable(f"mlbuild {name(decision.subject)}"))
    _count(root, decision.outcomes)
    for policy, outcomes in groupby(decision.outcomes, key=lambda outcome: outcome.policy):
        _suite(root, decision, policy, tuple(outcomes))
    indent(root)
    text = tostring(root, encoding="unicode")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode(errors="replace") + b"\n"


def _count(element: Element, outcomes: Iterable[RuleOutcome]) -> None:
    kinds = [_kind(outcome) for outcome in outcomes]
    element.set("tests", str(len(kinds)))
    element.set("failures", str(kinds.count("failure")))
    element.set("errors", str(kinds.count("error")))
    element.set("skipped", str(kinds.count("skipped")))


def _kind(outcome: RuleOutcome) -> str:
    if outcome.status is Status.DENIED:
        return "failure"
    if outcome.status is Status.UNDECIDED and outcome.effect is Effect.DENY:
        return "error"
    return "skipped" if outcome.status in (Status.PENDING, Status.UNDECIDED) else "passed"


def _suite(root: Element, decision: Decision, policy: str, outcomes: tuple[RuleOutcome, ...]) -> None:
    suite = SubElement(root, "testsuite", name=printable(policy))
    _count(suite, outcomes)
    suite.set("timestamp", in_utc(decision.at).strftime("%Y-%m-%dT%H:%M:%S"))
    facts = SubElement(suite, "properties")
    for fact, value in (
        ("verdict", headline_of(decision)),
        ("policy digest", decision.policy_digest),
        ("evidence digest", decision.evidence_digest),
    ):
        SubElement(facts, "property", name=fact, value=value)
    for outcome in outcomes:
        _case(suite, decision, outcome)


def _case(suite: Element, decision: Decision, outcome: RuleOutcome) -> None:
    classname = f"{decision.subject.repository}.{outcome.policy}"
    case = SubElement(suite, "testcase", classname=printable(classname), name=printable(outcome.rule))
    kind = _kind(outcome)
    reason = printable(outcome.reason or "no reason is known")
    if kind == "failure":
        found = [one for one in outcome.violations if one.waiver is None]
        summary = f"{count(len(found), 'finding')}: {outcome.why}"
        failure = SubElement(case, "failure", message=printable(summary), type=printable(outcome.check))
        failure.text = _told(decision, outcome)
    elif kind == "error":
        error = SubElement(case, "error", message=reason, type="undecided")
        error.text = f"{printable(outcome.why)}\n{printable(outcome.fix)}"
    elif kind == "skipped":
        SubElement(case, "skipped", message=reason)
    elif outcome.violations:
        SubElement(case, "system-out").text = _told(decision, outcome)


def _told(decision: Decision, outcome: RuleOutcome) -> str:
    lines = []
    for one in outcome.violations:
        origin = place_words(origin_words(one.origin, one.chain), one.layer)
        excused = f" (waived by {excuse_of(decision, one)})" if one.waiver else ""
        lines.append(printable(one.message + (f" [{origin}]" if origin else "") + excused))
        lines.append(f"  -> {printable(one.remedy or outcome.fix)}")
    return "\n".join(lines)
