"""Policies and waivers as the engine uses them: read, checked and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from compliance.evidence import Subject
from compliance.oci.digest import Digest
from compliance.policy.check import AnyCheck, Parameters
from compliance.policy.decision import Effect, Mode, Urgency
from compliance.policy.pattern import PackagePattern, matches
from compliance.policy.threats import NO_THREATS, Threats
from compliance.policy.vex import NO_VEX, TRUSTS_NOBODY, Justification, VexBook, VexTrust

WAIVER_DAYS: Final = 90
"""The longest a waiver may run where the rule's policy sets no cap of its own."""


@dataclass(frozen=True, slots=True)
class Later:
    """What a policy gives images that were admitted and no longer comply: days, and what has none."""

    pullable_days: int | None = None
    at_once: tuple[Urgency, ...] = tuple(Urgency)


@dataclass(frozen=True, slots=True)
class RuleLater:
    """What a rule gives images that break it later: days, or only a warning where it does not count."""

    pullable_days: int | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A check with parameters, and what follows when it fails. Before `enforce_from` a deny only warns."""

    id: str
    check: AnyCheck
    parameters: Parameters
    effect: Effect
    why: str
    fix: str
    enforce_from: date | None = None
    waivable: bool = True
    later: RuleLater = RuleLater()

    def effect_at(self, at: datetime, *, later: bool = False) -> Effect:
        """What a violation does at this time: before `enforce_from` (midnight UTC) a deny only warns.

        `later` is whether what is judged was admitted before.
        """
        announced = self.enforce_from is not None and at.date() < self.enforce_from
        return Effect.WARN if announced or (later and not self.later.counts) else self.effect


@dataclass(frozen=True, slots=True)
class Reach:
    """Which subjects a policy is for: a named stage, or a repository that fits one of the patterns.

    Never one that fits `exceptions`; where only these are named, all others.
    """

    stages: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    @property
    def is_all_but_exceptions(self) -> bool:
        """Whether it is for everything but the exceptions, since these alone are named."""
        return bool(self.exceptions) and not self.stages and not self.repositories

    def covers(self, subject: Subject) -> bool:
        if any(matches(one, subject.repository) for one in self.exceptions):
            return False
        return (
            self.is_all_but_exceptions
            or subject.stage in self.stages
            or any(matches(one, subject.repository) for one in self.repositories)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one file, named `file` in the directory. `reach` is None when they are for every subject."""

    name: str
    file: str
    rules: tuple[Rule, ...]
    extends: tuple[str, ...] = ()
    reach: Reach | None = None
    waiver_days: int = WAIVER_DAYS
    mode: Mode = Mode.ENFORCE
    waiver_approvals: int = 0
    waiver_justified: bool = False
    vex: VexTrust = TRUSTS_NOBODY
    later: Later | None = None

    def covers(self, subject: Subject) -> bool:
        return self.reach is None or self.reach.covers(subject)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a waiver counts. What is empty sets no limit; what is given must all fit."""

    repositories: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()
    stages: tuple[str, ...] = ()

    def covers(self, subject: Subject) -> bool:
        return (
            (not self.repositories or any(matches(one, subject.repository) for one in self.repositories))
            and (not self.digests or subject.digest in self.digests)
            and (not self.stages or subject.stage in self.stages)
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """That somebody other than its owner agreed to a waiver."""

    by: str
    on: date


@dataclass(frozen=True, slots=True)
class Waiver:
    """A dated, owned, reasoned exception to one rule.

    Of `vulnerability`, `package`, `path` and `key` at least one is set; a violation must fit all that are.
    It counts from the start of the day `created` to the end of the day `expires`, in UTC.
    """

    file: str
    rule: str
    owner: str
    reason: str
    created: date
    expires: date
    scope: Scope = Scope()
    vulnerability: str | None = None
    package: PackagePattern | None = None
    path: str | None = None
    key: str | None = None
    justification: Justification | None = None
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy and waiver of a directory, and what it knows of vulnerabilities.

    `digest` is of their files' names and bytes.
    """

    policies: tuple[Policy, ...]
    waivers: tuple[Waiver, ...]
    digest: Digest
    vex: VexBook = NO_VEX
    threats: Threats = NO_THREATS

    def for_subject(self, subject: Subject) -> tuple[Policy, ...]:
        """The policies that judge `subject`, each once, the extended before those that extend them."""
        return self._with_extended(policy for policy in self.policies if policy.covers(subject))

    def mode(self, subject: Subject) -> Mode:
        """Audit where every policy that covers `subject` only audits. One that enforces is enough to enforce."""
        covering = [policy.mode for policy in self.policies if policy.covers(subject)]
        return Mode.AUDIT if covering and Mode.ENFORCE not in covering else Mode.ENFORCE

    def enforced(self, subject: Subject) -> tuple[Policy, ...]:
        """Those of `for_subject` that a policy in force brings: itself, and what it extends."""
        return self._with_extended(
            policy for policy in self.policies if policy.covers(subject) and policy.mode is Mode.ENFORCE
        )

    def _with_extended(self, policies: Iterable[Policy]) -> tuple[Policy, ...]:
        by_name = {policy.name: policy for policy in self.policies}
        chosen: dict[str, Policy] = {}

        def choose(policy: Policy) -> None:
            if policy.name in chosen:
                return
            for name in policy.extends:
                choose(by_name[name])
            chosen[policy.name] = policy

        for policy in policies:
            choose(policy)
        return tuple(chosen.values())

    def rules(self) -> Iterator[tuple[Policy, Rule]]:
        """Every rule with its policy, in the order of the files."""
        return ((policy, rule) for policy in self.policies for rule in policy.rules)
