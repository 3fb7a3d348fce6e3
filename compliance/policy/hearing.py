"""One subject's evidence before the policies that are for it: which rules ask, and what each of them says."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from compliance.evidence import Absent, Evidence
from compliance.instants import in_utc
from compliance.policy import waivers
from compliance.policy.attribution import Attribution
from compliance.policy.check import Result, Selector
from compliance.policy.decision import Effect, RuleOutcome, Status, Violation
from compliance.policy.later import Terms, terms_for
from compliance.policy.model import Policy, PolicySet, Rule
from compliance.policy.vex import excuse


class Question(NamedTuple):
    """A rule that is about the subject, and what breaking it does at the time of the hearing.

    `told_only` is whether its policy only audits, where others are in force.
    """

    policy: Policy
    rule: Rule
    effect: Effect
    told_only: bool = False

    @property
    def may_block(self) -> bool:
        """Whether a verdict can depend on the answer."""
        return self.effect is Effect.DENY


_BLOCKING: Final = (Status.DENIED, Status.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Hearing:
    """The questions that policies put to evidence at one time, in the order of the policies and their rules.

    Where some policies enforce, the rules of those that only audit warn. `results` are what checks have found
    so far, by the id of the rule that asked. `terms` are set for what was admitted before.
    """

    policies: PolicySet
    evidence: Evidence
    at: datetime
    questions: tuple[Question, ...]
    terms: Terms | None
    placed: Attribution
    results: dict[str, Result] = field(default_factory=dict)

    @classmethod
    def of(cls, policies: PolicySet, evidence: Evidence, at: datetime, *, later: bool = False) -> Hearing:
        """What `policies` ask of `evidence` at this time; `later` is whether it is of what was admitted before."""
        return cls._of(policies, policies.threats.enrich(evidence), in_utc(at), later=later)

    @classmethod
    def _of(cls, policies: PolicySet, enriched: Evidence, at: datetime, *, later: bool) -> Hearing:
        judging = policies.for_subject(enriched.subject)
        enforced = {policy.name for policy in policies.enforced(enriched.subject)}
        questions = [
            Question(policy, rule, Effect.WARN if told_only else rule.effect_at(at, later=later), told_only)
            for policy in judging
            for told_only in (bool(enforced) and policy.name not in enforced,)
            for rule in policy.rules
            if rule.check.is_about(enriched)
        ]
        terms = terms_for(judging, enriched) if later else None
        return cls(policies, enriched, at, tuple(questions), terms, Attribution(enriched))

    def beside(self, policies: PolicySet) -> Hearing:
        """The same evidence before other policies, which know the same threats."""
        return self._of(policies, self.evidence, self.at, later=self.terms is not None)

    def take_over(self, other: Hearing, rules: Collection[str]) -> None:
        """Take over what the checks of some rules have found in another hearing, where they ask the same."""
        self.results.update((rule, result) for rule, result in other.results.items() if rule in rules)

    def outcomes(self) -> tuple[RuleOutcome, ...]:
        """What every rule says; where no rule is for the subject, `nothing_asked` alone."""
        return tuple([self.outcome(one) for one in self.questions]) or (nothing_asked(self.evidence),)

    def blocking(
        self, *, among: Container[str] | None = None, without: Container[str] = ()
    ) -> Iterator[RuleOutcome]:
        """Those of `outcomes` that block, of some rules or of all. No check is run that cannot."""
        if not self.questions:
            yield nothing_asked(self.evidence)
        for one in self.questions:
            if one.may_block and one.rule.id not in without and (among is None or one.rule.id in among):
                status, violations = self._answer(one)
                if status in _BLOCKING:
                    yield self._told(one, status, violations)

    def outcome(self, question: Question) -> RuleOutcome:
        """What one rule says."""
        return self._told(question, *self._answer(question))

    def _told(self, question: Question, status: Status, violations: tuple[Violation, ...]) -> RuleOutcome:
        rule, result = question.rule, self.results[question.rule.id]
        reason = _why_milder(question) if question.effect is not rule.effect else None
        outcome = RuleOutcome(
            policy=question.policy.name,
            rule=rule.id,
            check=rule.check.name,
            effect=question.effect,
            status=status,
            why=rule.why,
            fix=rule.fix,
            violations=violations,
            reason=result.reason if isinstance(result, Absent) else reason,
        )
        return outcome if self.terms is None else self.terms.on(rule, outcome)

    def _answer(self, question: Question) -> tuple[Status, tuple[Violation, ...]]:
        result = self._result(question.rule)
        if isinstance(result, Absent):
            waits = result.pending and self.evidence.subject.digest is None
            return Status.PENDING if waits else Status.UNDECIDED, ()
        if not result:
            return Status.PASSED, ()
        violations = self._excused(question, result)
        return _status(question.effect, violations), violations

    def _result(self, rule: Rule) -> Result:
        if rule.id not in self.results:
            result = _run(rule, self.evidence, self.at)
            self.results[rule.id] = result if isinstance(result, Absent) else self.placed(result)
        return self.results[rule.id]

    def _excused(self, question: Question, violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """The violations with what excuses them: waivers, and trusted statements where the rule allows any."""
        rule, subject = question.rule, self.evidence.subject
        violations = waivers.waive(violations, rule.id, self.policies.waivers, subject, self.at)
        if rule.waivable and Selector.VULNERABILITY in rule.check.waived_by:
            violations = excuse(violations, self.policies.vex, question.policy.vex, subject, self.at)
        return violations


def _why_milder(question: Question) -> str:
    if question.told_only:
        return f"policy {question.policy.name!r} only audits"
    rule = question.rule
    return f"denies from {rule.enforce_from}" if rule.later.counts else "does not count for what is admitted"


def _run(rule: Rule, evidence: Evidence, at: datetime) -> Result:
    """A check that fails has not found the image good: it leaves the rule undecided."""
    try:
        return rule.check.run(rule.parameters, evidence, at)
    except Exception as error:
        return Absent(f"the check {rule.check.name!r} failed: {type(error).__name__}: {error}")


def _status(effect: Effect, violations: Sequence[Violation]) -> Status:
    if all(violation.waiver is not None for violation in violations):
        return Status.WAIVED
    return Status.DENIED if effect is Effect.DENY else Status.WARNED


def nothing_asked(evidence: Evidence) -> RuleOutcome:
    """The outcome where no rule is about the subject."""
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
