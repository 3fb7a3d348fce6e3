"""Judges one subject by a set of policies. Pure and total: same input, same bytes, and never an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from compliance.evidence import Evidence, VulnerabilityScan
from compliance.instants import in_utc
from compliance.policy import stage_notes, vex_notes, waivers
from compliance.policy.canonical import digest_of
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Verdict
from compliance.policy.exemptions import exemptions
from compliance.policy.hearing import Hearing
from compliance.policy.model import PolicySet


def evaluate(policies: PolicySet, evidence: Evidence, at: datetime, *, later: bool = False) -> Decision:
    """What `policies` say of `evidence` at the time `at` (taken as UTC when it names no zone).

    `later` is whether it is the evidence of what was admitted before.

    Any denied rule refuses. Else any undecided rule that would deny makes it undecidable. A subject that
    no rule is for is refused. Where all policies only audit, the verdict is what would have been enforced.
    """
    moment = in_utc(at)
    outcomes = judge(policies, evidence, moment, later=later)
    scan = evidence.vulnerabilities
    seen = scan if isinstance(scan, VulnerabilityScan) else VulnerabilityScan((), ())
    return Decision(
        verdict=verdict_of(outcomes),
        subject=evidence.subject,
        at=moment,
        policies=tuple(policy.name for policy in policies.for_subject(evidence.subject)),
        policy_digest=policies.digest,
        evidence_digest=digest_of(evidence),
        databases=tuple(replace(one, updated=in_utc(one.updated)) for one in seen.databases),
        notes=seen.notes
        + stage_notes.notes(policies, evidence.subject)
        + waivers.notes(policies.waivers, outcomes, evidence.subject, moment)
        + vex_notes.notes(policies, outcomes, evidence.subject, moment),
        outcomes=outcomes,
        mode=policies.mode(evidence.subject),
        exemptions=exemptions(policies, outcomes, evidence.subject, moment),
        later=later,
    )


def judge(
    policies: PolicySet, evidence: Evidence, at: datetime, *, later: bool = False
) -> tuple[RuleOutcome, ...]:
    """What every rule that is for the subject says: the outcomes of a decision, without the rest of it.

    `later` is as for `evaluate`.
    """
    return Hearing.of(policies, evidence, at, later=later).outcomes()


def verdict_of(outcomes: Iterable[RuleOutcome]) -> Verdict:
    """What the outcomes of all rules come to. Warnings make no difference."""
    undecided = False
    for outcome in outcomes:
        if outcome.status is Status.DENIED:
            return Verdict.REFUSED
        undecided = undecided or (outcome.status is Status.UNDECIDED and outcome.effect is Effect.DENY)
    return Verdict.UNDECIDABLE if undecided else Verdict.ADMITTED
