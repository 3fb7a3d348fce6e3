"""The gate's own rules, which no policy can lift, as decisions like any other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from compliance.evidence import Absent, Evidence, Subject
from compliance.policy.canonical import digest_of
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Verdict, Violation
from compliance.policy.model import PolicySet

NAME: Final = "gate"


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A condition for judging at all."""

    id: str
    why: str
    fix: str


INTACT: Final = OwnRule(
    "blobs-intact",
    "What is judged must be what is pulled, byte for byte.",
    "Push the image again from a clean build.",
)
CONSISTENT: Final = OwnRule(
    "layers-match-config",
    "A runtime that unpacks other layers than the config names runs something else.",
    "Build the image again, and push it with a client that keeps it as it is.",
)
SAFE: Final = OwnRule(
    "layers-unpack-safely",
    "A layer that leaves its root, or makes a device, attacks the machine that unpacks it.",
    "Take the named member out, and find out who put it there.",
)
READABLE: Final = OwnRule(
    "images-and-evidence-only",
    "What cannot be read cannot be judged.",
    "Push images, sigstore bundles about them, and artifacts that a rule names; BuildKit adds others unless told "
    "--provenance=false.",
)
CHILDREN: Final = OwnRule(
    "children-admitted",
    "An index is as good as every image it names.",
    "Push each image to this repository first, and mend those that are refused.",
)
SIGNED: Final = OwnRule(
    "evidence-verified",
    "Evidence counts only with a signature of a key that is trusted here.",
    "Sign with a key whose public half is among the gate's trusted keys.",
)


class Broken(Exception):
    """One of these rules is broken, so nothing else is looked at."""

    def __init__(self, rule: OwnRule, violation: Violation) -> None:
        super().__init__(violation.message)
        self.rule = rule
        self.violation = violation


def refuse(broken: Broken, subject: Subject, at: datetime, policies: PolicySet) -> tuple[Decision, Evidence]:
    """The decision that refuses `subject` for it, and the evidence that was taken on."""
    outcome = _outcome(broken.rule, Status.DENIED, (broken.violation,))
    return _decide(Verdict.REFUSED, outcome, subject, at, policies)


def admit(rule: OwnRule, subject: Subject, at: datetime, policies: PolicySet) -> tuple[Decision, Evidence]:
    """The decision that admits what no policy is about, only this rule."""
    return _decide(Verdict.ADMITTED, _outcome(rule, Status.PASSED, ()), subject, at, policies)


def unexamined(subject: Subject, because: Absent, artifact: str | None = None) -> Evidence:
    """The evidence of what was not looked into."""
    return Evidence(
        subject=subject,
        base=because,
        inventory=because,
        settings=because,
        lock=because,
        vulnerabilities=because,
        secrets=because,
        models=because,
        sbom=because,
        provenance=because,
        artifact=artifact,
    )


def _outcome(rule: OwnRule, status: Status, violations: tuple[Violation, ...]) -> RuleOutcome:
    return RuleOutcome(NAME, rule.id, rule.id, Effect.DENY, status, rule.why, rule.fix, violations)


def _decide(
    verdict: Verdict, outcome: RuleOutcome, subject: Subject, at: datetime, policies: PolicySet
) -> tuple[Decision, Evidence]:
    unread = Absent(f"{outcome.rule} is decided before anything else is read")
    evidence = unexamined(subject, unread)
    decision = Decision(
        verdict=verdict,
        subject=subject,
        at=at,
        policies=(NAME,),
        policy_digest=policies.digest,
        evidence_digest=digest_of(evidence),
        databases=(),
        notes=(),
        outcomes=(outcome,),
        mode=policies.mode(subject),
    )
    return decision, evidence
