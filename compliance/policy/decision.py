"""The outcome of judging one subject: what every rule said, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compliance.evidence import Database, Subject
from compliance.inventory import Origin
from compliance.oci.digest import Digest


class Verdict(StrEnum):
    """`undecidable` is treated as refused wherever something is let in."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNDECIDABLE = "undecidable"


class Effect(StrEnum):
    DENY = "deny"
    WARN = "warn"


class Mode(StrEnum):
    """What a verdict does to what it is about: an enforced one keeps it out, an audited one is only told."""

    ENFORCE = "enforce"
    AUDIT = "audit"


class Urgency(StrEnum):
    """What is so urgent that what was admitted with it may no longer be pulled, at once."""

    KNOWN_EXPLOITED = "known-exploited"  # listed as being exploited (CISA's KEV)
    MALWARE = "malware"  # an advisory of a malicious package (OSV's MAL-...)


class Status(StrEnum):
    """What one rule said. `pending` is for rules that only the built image can answer, asked of a lock."""

    PASSED = "passed"
    WAIVED = "waived"
    WARNED = "warned"
    DENIED = "denied"
    UNDECIDED = "undecided"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that breaks a rule.

    `culprit` names it: a purl, a path, a setting. `key` is what a waiver may name: a vulnerability id, a
    package name, a path. `chain` is the requirement path that brought a package. `remedy` is the next
    step for this very violation, more exact than the rule's own where that is possible. `waiver` names
    the waiver file that covers it. `aliases` are other names of `key`; `fixed` is the smallest version of
    the package that mends a vulnerability. `layer` is the diffID of the layer that holds it, once there is
    an image. `at_once` is why what was admitted with it has no days left, in
    a later decision.
    """

    culprit: str
    key: str
    message: str
    origin: Origin | None = None
    chain: tuple[str, ...] = ()
    remedy: str | None = None
    severity: str | None = None
    waiver: str | None = None
    aliases: tuple[str, ...] = ()
    fixed: str | None = None
    at_once: Urgency | None = None
    layer: Digest | None = None


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule of one policy said. `reason` says why a rule was undecided or is pending.

    `pullable_days` is for how many days what was admitted may still be pulled; only later decisions have it.
    """

    policy: str
    rule: str
    check: str
    effect: Effect
    status: Status
    why: str
    fix: str
    violations: tuple[Violation, ...] = ()
    reason: str | None = None
    pullable_days: int | None = None


@dataclass(frozen=True, slots=True)
class Exemption:
    """A waiver or VEX statement that excused something in this decision.

    `file` is what violations name, `by` the waiver's owner or the statement's author. `until` is the end of
    its last day. `vulnerability` is set for a statement, since one file holds many.
    """

    file: str
    by: str
    reason: str
    until: datetime
    justification: str | None = None
    vulnerability: str | None = None
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one subject at one time, with everything needed to reach it again.

    `policy_digest` covers the policy files and waivers, `evidence_digest` the evidence. Outcomes stand in
    the order of the policies and their rules, passed ones too. In audit mode the verdict is the one that
    would have been enforced. `exemptions` are those that excused something. A `later` decision is on what
    was admitted before: by the rules that count then.
    """

    verdict: Verdict
    subject: Subject
    at: datetime
    policies: tuple[str, ...]
    policy_digest: Digest
    evidence_digest: Digest
    databases: tuple[Database, ...]
    notes: tuple[str, ...]
    outcomes: tuple[RuleOutcome, ...]
    mode: Mode = Mode.ENFORCE
    exemptions: tuple[Exemption, ...] = ()
    later: bool = False

    @property
    def lets_in(self) -> bool:
        """Whether the subject may be used: it complies, or nothing is blocked where it is."""
        return self.verdict is Verdict.ADMITTED or self.mode is Mode.AUDIT

    def with_status(self, *statuses: Status) -> tuple[RuleOutcome, ...]:
        """The outcomes whose status is one of `statuses`, in order."""
        return tuple(outcome for outcome in self.outcomes if outcome.status in statuses)
