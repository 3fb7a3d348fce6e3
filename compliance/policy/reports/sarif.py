"""A decision as SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a change.

Every open violation is a result at the line that brought its culprit. What a waiver covers is a suppressed
result. A rule that could not be decided is a result of kind `open` and a notification of the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from compliance.evidence import Severity
from compliance.instants import in_utc
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Verdict, Violation
from compliance.policy.reports.excused import excuse_of
from compliance.policy.reports.groups import headline_of, name
from compliance.policy.reports.places import Place, PlacesOf, nowhere
from compliance.policy.wording import label, origin_words

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT: Final = "PROJECTROOT"
FINGERPRINT: Final = "mlbuild/v1"

_LEVELS: Final = {Effect.DENY: "error", Effect.WARN: "warning"}
_SCORES: Final = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}
"""`security-severity`, by which code hosts sort: the middle of each CVSS band."""

Json = dict[str, Any]


def to_sarif(decision: Decision, places: PlacesOf = nowhere, *, version: str | None = None) -> bytes:
    """The decision as a SARIF log. `places` finds the lines to point at; `version` is the program's own."""
    driver: Json = {"name": "mlbuild", "rules": [_rule(outcome) for outcome in decision.outcomes]}
    if version is not None:
        driver["version"] = version
    notifications = list(_notifications(decision))
    invocation: Json = {
        "executionSuccessful": decision.verdict is not Verdict.UNDECIDABLE,
        "endTimeUtc": in_utc(decision.at).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if notifications:
        invocation["toolExecutionNotifications"] = notifications
    run: Json = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"mlbuild/{decision.subject.repository}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": list(_results(decision, places)),
        "properties": {
            "verdict": decision.verdict,
            "subject": name(decision.subject),
            "policyDigest": decision.policy_digest,
            "evidenceDigest": decision.evidence_digest,
        },
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False).encode(errors="replace") + b"\n"


def _rule(outcome: RuleOutcome) -> Json:
    properties: Json = {"tags": ["security", f"policy-{outcome.policy}"], "check": outcome.check}
    worst = max((score for one in outcome.violations if (score := _score(one))), key=float, default=None)
    if worst:
        properties["security-severity"] = worst
    return {
        "id": outcome.rule,
        "shortDescription": {"text": outcome.why},
        "fullDescription": {"text": outcome.why},
        "help": {"text": outcome.fix},
        "defaultConfiguration": {"level": _LEVELS[outcome.effect]},
        "properties": properties,
    }


def _score(violation: Violation) -> str | None:
    known = set(Severity)
    return _SCORES.get(Severity(violation.severity)) if violation.severity in known else None


def _results(decision: Decision, places: PlacesOf) -> Iterator[Json]:
    for index, outcome in enumerate(decision.outcomes):
        for violation in outcome.violations:
            yield _result(decision, index, outcome, violation, places(outcome, violation))
        if outcome.status is Status.UNDECIDED:
            text = f"could not be decided: {outcome.reason or 'no reason is known'}"
            yield {
                "ruleId": outcome.rule,
                "ruleIndex": index,
                "kind": "open",
                "message": {"text": text},
                **_located(places(outcome, None), ()),
                "partialFingerprints": {FINGERPRINT: _fingerprint(decision, outcome.rule, "", "undecided")},
            }


def _result(
    decision: Decision, index: int, outcome: RuleOutcome, violation: Violation, places: tuple[Place, ...]
) -> Json:
    remedy = violation.remedy or outcome.fix
    result: Json = {
        "ruleId": outcome.rule,
        "ruleIndex": index,
        "level": _LEVELS[outcome.effect],
        "message": {"text": f"{violation.message}. {_sentence(remedy)}"},
        **_located(places, (violation,)),
        "partialFingerprints": {
            FINGERPRINT: _fingerprint(decision, outcome.rule, violation.culprit, violation.key)
        },
    }
    facts = {
        "culprit": violation.culprit,
        "severity": violation.severity,
        "from": origin_words(violation.origin, violation.chain) or None,
        "layer": violation.layer,
        "fixedIn": violation.fixed,
        "remedy": remedy,
    }
    result["properties"] = {key: value for key, value in facts.items() if value is not None}
    if violation.waiver is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": excuse_of(decision, violation)}
        ]
    return result


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def _located(places: tuple[Place, ...], violations: tuple[Violation, ...]) -> Json:
    """The place to edit as the location, further ones as related, and the culprit as a logical location."""
    logical = [
        {"fullyQualifiedName": one.culprit, "name": label(one.culprit), "kind": _kind(one.culprit)}
        for one in violations
    ]
    located: Json = {}
    if places:
        location = {"physicalLocation": _physical(places[0])}
        located["locations"] = [location | {"logicalLocations": logical} if logical else location]
    elif logical:
        located["locations"] = [{"logicalLocations": logical}]
    if places[1:]:
        located["relatedLocations"] = [
            {"id": number, "physicalLocation": _physical(place)} for number, place in enumerate(places[1:], 1)
        ]
    return located


def _kind(culprit: str) -> str:
    return "package" if culprit.startswith("pkg:") else "resource"


def _physical(place: Place) -> Json:
    physical: Json = {"artifactLocation": {"uri": _uri(place.path), "uriBaseId": ROOT}}
    if place.line is not None:
        physical["region"] = {"startLine": place.line}
    return physical


def _uri(path: str) -> str:
    """A relative path as a URI reference (RFC 3986): everything but unreserved characters and `/` escaped."""
    kept = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    return "".join(chr(byte) if byte in kept else f"%{byte:02X}" for byte in path.encode(errors="replace"))


def _fingerprint(decision: Decision, rule: str, culprit: str, key: str) -> str:
    """Names a finding from run to run. A purl's version is left out: an upgrade that mends nothing is no news."""
    lasting = culprit.partition("@")[0] if culprit.startswith("pkg:") else culprit
    parts = "\0".join((decision.subject.repository, rule, lasting, key))
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()


def _notifications(decision: Decision) -> Iterator[Json]:
    headline = f"{headline_of(decision)} {name(decision.subject)}"
    yield {"level": "note", "message": {"text": headline}}
    for outcome in decision.with_status(Status.UNDECIDED):
        text = f"{outcome.rule} could not be decided: {outcome.reason or 'no reason is known'}"
        yield {
            "level": _LEVELS[outcome.effect],
            "message": {"text": text},
            "associatedRule": {"id": outcome.rule},
        }
    for outcome in decision.with_status(Status.PENDING):
        text = f"{outcome.rule} waits for the image: {outcome.reason or 'it is not built yet'}"
        yield {"level": "note", "message": {"text": text}, "associatedRule": {"id": outcome.rule}}
    for note in decision.notes:
        yield {"level": "note", "message": {"text": note}}
