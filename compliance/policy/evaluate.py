"""Judges one subject by a set of policies. Pure and total: same input, same bytes, and never an error."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from compliance.evidence import Absent, Evidence, Subject, VulnerabilityScan
from compliance.policy import vex_notes, waivers
from compliance.policy.attribution import Attribution
from compliance.policy.canonical import digest_of, in_utc
from compliance.policy.check import Result, Selector
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Verdict, Violation
from compliance.policy.exemptions import exemptions
from compliance.policy.later import Terms, terms_for
from compliance.policy.model import Policy, PolicySet, Rule
from compliance.policy.vex import excuse


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
        + waivers.notes(policies.waivers, outcomes, evidence.subject, moment)
        + vex_notes.notes(policies, outcomes, evidence.subject, moment),
        outcomes=outcomes,
        mode=policies.mode(evidence.subject),
        exemptions=exemptions(policies, outcomes, evidence.subject, moment),
        later=later,
    )


_NONE: Final[Mapping[str, RuleOutcome]] = MappingProxyType({})

Results = MutableMapping[str, Result]
"""What checks found in one subject's evidence at one time, by the id of the rule that asked."""


def judge(
    policies: PolicySet,
    evidence: Evidence,
    at: datetime,
    *,
    results: Results | None = None,
    settled: Mapping[str, RuleOutcome] = _NONE,
    later: bool = False,
) -> tuple[RuleOutcome, ...]:
    """What every rule that is for the subject says: the outcomes of a decision, without the rest of it.

    Where some policies enforce, the rules of those that only audit warn. `results` are taken over instead of
    running those rules' checks, and those of the others are added to them. `settled` are outcomes, by rule,
    that are known to be what this would give. `later` is as for `evaluate`.
    """
    moment = in_utc(at)
    subject = evidence.subject
    evidence = policies.threats.enrich(evidence)
    enforced = {policy.name for policy in policies.enforced(subject)}
    found: Results = {} if results is None else results
    placed = Attribution(evidence)
    outcomes = []
    judging = policies.for_subject(subject)
    terms = terms_for(judging, evidence) if later else None
    for policy in judging:
        told_only = bool(enforced) and policy.name not in enforced
        for rule in policy.rules:
            if rule.id in settled:
                outcomes.append(settled[rule.id])
                continue
            if not rule.check.is_about(evidence):
                continue
            if rule.id not in found:
                result = _run(rule, evidence, moment)
                found[rule.id] = result if isinstance(result, Absent) else placed(result)
            outcomes.append(
                _outcome(policy, rule, policies, subject, found[rule.id], moment, told_only=told_only, terms=terms)
            )
    return tuple(outcomes) or (_nothing_applies(evidence),)


def _outcome(
    policy: Policy,
    rule: Rule,
    policies: PolicySet,
    subject: Subject,
    result: Result,
    at: datetime,
    *,
    told_only: bool,
    terms: Terms | None,
) -> RuleOutcome:
    effect = Effect.WARN if told_only else rule.effect_at(at, later=terms is not None)
    reason = _why_milder(policy, rule, told_only=told_only) if effect is not rule.effect else None
    violations: tuple[Violation, ...] = ()
    if isinstance(result, Absent):
        waits = result.pending and subject.digest is None
        status, reason = Status.PENDING if waits else Status.UNDECIDED, result.reason
    else:
        violations = waivers.waive(result, rule.id, policies.waivers, subject, at)
        if rule.waivable and Selector.VULNERABILITY in rule.check.waived_by:
            violations = excuse(violations, policies.vex, policy.vex, subject, at)
        status = _status(effect, violations)
    outcome = RuleOutcome(
        policy=policy.name,
        rule=rule.id,
        check=rule.check.name,
        effect=effect,
        status=status,
        why=rule.why,
        fix=rule.fix,
        violations=violations,
        reason=reason,
    )
    return outcome if terms is None else terms.on(rule, outcome)


def _why_milder(policy: Policy, rule: Rule, *, told_only: bool) -> str:
    if told_only:
        return f"policy {policy.name!r} only audits"
    return f"denies from {rule.enforce_from}" if rule.later.counts else "does not count for what is admitted"


def _run(rule: Rule, evidence: Evidence, at: datetime) -> Result:
    """A check that fails has not found the image good: it leaves the rule undecided."""
    try:
        return rule.check.run(rule.parameters, evidence, at)
    except Exception as error:
        return Absent(f"the check {rule.check.name!r} failed: {type(error).__name__}: {error}")


def _status(effect: Effect, violations: Sequence[Violation]) -> Status:
    if not violations:
        return Status.PASSED
    if all(violation.waiver is not None for violation in violations):
        return Status.WAIVED
    return Status.DENIED if effect is Effect.DENY else Status.WARNED


def verdict_of(outcomes: Sequence[RuleOutcome]) -> Verdict:
    """What the outcomes of all rules come to."""
    if any(outcome.status is Status.DENIED for outcome in outcomes):
        return Verdict.REFUSED
    if any(outcome.status is Status.UNDECIDED and outcome.effect is Effect.DENY for outcome in outcomes):
        return Verdict.UNDECIDABLE
    return Verdict.ADMITTED


def _nothing_applies(evidence: Evidence) -> RuleOutcome:
    subject = evidence.subject
    stage = f" in stage {subject.stage!r}" if subject.stage else ""
    what = "" if evidence.artifact is None else f"artifacts of type {evidence.artifact} in "
    return RuleOutcome(
        policy="none",
        rule="some-rule-applies",
        check="some-rule-applies",
        effect=Effect.DENY,
        status=Status.DENIED,
        why="What no rule judges is not let in.",
        fix="Add a policy that applies to it, or push it to a repository that one applies to."
        if evidence.artifact is None
        else "Add a rule with the check artifact-types, or push it to a repository that has one.",
        violations=(
            Violation(
                culprit=subject.repository,
                key=subject.repository,
                message=f"no rule applies to {what}{subject.repository!r}{stage}",
            ),
        ),
    )
