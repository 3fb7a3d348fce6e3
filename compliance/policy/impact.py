"""What a changed set of policies would do to images that were judged before: whose verdict changes, why, when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final

from compliance.evidence import Evidence, Subject, VulnerabilityScan
from compliance.instants import in_utc
from compliance.inventory import Settings
from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status, Verdict
from compliance.policy.evaluate import verdict_of
from compliance.policy.hearing import Hearing
from compliance.policy.model import PolicySet, Waiver

_OWNER_LABELS: Final = (
    "owner",
    "org.opencontainers.image.authors",
    "maintainer",
    "org.opencontainers.image.vendor",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What judging an image came to, and whether that blocks anything. `outcomes` hold all that do."""

    outcomes: tuple[RuleOutcome, ...]
    verdict: Verdict
    mode: Mode

    @classmethod
    def of(cls, outcomes: tuple[RuleOutcome, ...], mode: Mode) -> Standing:
        return cls(outcomes, verdict_of(outcomes), mode)

    @property
    def lets_in(self) -> bool:
        return _lets_in(self.verdict, self.mode)

    def differs(self, other: Standing) -> bool:
        return (self.verdict, self.lets_in) != (other.verdict, other.lets_in)


Difference = tuple[Standing, Standing]
"""How an image stood before, and how it stands after."""


def _lets_in(verdict: Verdict, mode: Mode) -> bool:
    return verdict is Verdict.ADMITTED or mode is Mode.AUDIT


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that made the difference: what it says now, and of how many findings the first is told."""

    rule: str
    policy: str
    status: Status
    text: str
    remedy: str
    findings: int


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """An image that would be judged otherwise, or with other consequences.

    `since` is the first day of that, None for at once.
    """

    subject: Subject
    owner: str | None
    before: Verdict
    after: Verdict
    since: date | None
    reasons: tuple[Reason, ...]
    mode_before: Mode = Mode.ENFORCE
    mode_after: Mode = Mode.ENFORCE

    @property
    def is_lost(self) -> bool:
        """Whether it is let in now and would not be any more: where verdicts are only told, all are."""
        return _lets_in(self.before, self.mode_before) and not _lets_in(self.after, self.mode_after)


@dataclass(frozen=True)
class Replay:
    """How evidence is judged again.

    `new` are the changed policies; `old` those to compare with, None for the stored decisions. Both judge
    as of `at`, and where that changes nothing, as of the days up to `until`: those on which by a date in a
    policy or waiver something begins or ends, and `until` itself; from these back to the first day.
    """

    new: PolicySet
    at: datetime
    old: PolicySet | None = None
    until: datetime | None = None

    @cached_property
    def same_threats(self) -> bool:
        """Whether both know the same of vulnerabilities."""
        return self.old is not None and self.old.threats == self.new.threats

    @cached_property
    def unchanged(self) -> frozenset[str]:
        """The rules that ask the same in both: their checks need not run twice."""
        if self.old is None or not self.same_threats:
            return frozenset()
        before = {rule.id: rule for _, rule in self.old.rules()}
        return frozenset(
            rule.id
            for _, rule in self.new.rules()
            if rule.id in before
            and (rule.check.name, rule.parameters) == (before[rule.id].check.name, before[rule.id].parameters)
        )

    @cached_property
    def settled(self) -> frozenset[str]:
        """Those of them that come to the same too: neither the rule changed nor what may excuse its findings."""
        if self.old is None or self.old.vex != self.new.vex or _audits(self.old) or _audits(self.new):
            return frozenset()
        before = {rule.id: (policy.name, policy.vex, rule) for policy, rule in self.old.rules()}
        return frozenset(
            rule.id
            for policy, rule in self.new.rules()
            if rule.id in self.unchanged and before[rule.id] == (policy.name, policy.vex, rule)
            if _waivers_of(self.old, rule.id) == _waivers_of(self.new, rule.id)
        )


def _audits(policies: PolicySet) -> bool:
    return any(policy.mode is Mode.AUDIT for policy in policies.policies)


def _waivers_of(policies: PolicySet, rule: str) -> list[Waiver]:
    return [waiver for waiver in policies.waivers if waiver.rule == rule]


def last_announcement(policies: PolicySet, at: datetime) -> datetime:
    """The day on which the last announced rule begins to deny, or `at` when none is announced."""
    days = [rule.enforce_from for _, rule in policies.rules() if rule.enforce_from is not None]
    moments = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    return max([in_utc(at), *moments])


def change_of(replay: Replay, evidence: Evidence, decision: Decision) -> VerdictChange | None:
    """What the changed policies make of one image's evidence, which was judged in `decision`; None for no change.

    Databases count as old as they were when the image was judged: that evidence ages on a disk is no
    effect of a policy.
    """
    start = in_utc(replay.at)
    if found := _difference(replay, evidence, decision, start):
        return _told(evidence, *found, None)
    calm = start
    for moment in _turning_points(replay, evidence.subject, start):
        if found := _difference(replay, evidence, decision, moment):
            return _told(evidence, *_first(replay, evidence, decision, (calm, moment), found))
        calm = moment
    return None


def _turning_points(replay: Replay, subject: Subject, start: datetime) -> list[datetime]:
    """When something begins or ends for the subject by a date in a policy or waiver, up to and with `until`."""
    if replay.until is None:
        return []
    end = in_utc(replay.until)
    days: set[date] = set()
    for policies in (replay.new, *((replay.old,) if replay.old is not None else ())):
        days |= {rule.enforce_from for _, rule in policies.rules() if rule.enforce_from is not None}
        for waiver in policies.waivers:
            if waiver.scope.covers(subject):
                days |= {waiver.created, waiver.expires + timedelta(days=1)}
    moments = {datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days} | {end}
    return sorted(moment for moment in moments if start < moment <= end)


def _first(
    replay: Replay, evidence: Evidence, decision: Decision, between: tuple[datetime, datetime], found: Difference
) -> tuple[Standing, Standing, date]:
    """How they differ on the first day, and which it is: after the one time, and up to the other, as `found`."""
    calm, changed = between
    low, high = 0, (changed - calm).days + 1
    while high - low > 1:
        middle = (low + high) // 2
        if earlier := _difference(replay, evidence, decision, _day_after(calm, middle, changed)):
            high, found = middle, earlier
        else:
            low = middle
    return *found, _day_after(calm, high, changed).date()


def _day_after(start: datetime, days: int, end: datetime) -> datetime:
    """Midnight, `days` days after the day of `start`, and at most `end`."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight + timedelta(days=days), end)


def _difference(replay: Replay, evidence: Evidence, decision: Decision, at: datetime) -> Difference | None:
    """How the image stands by the old and by the new policies; None where that comes to the same."""
    seen = as_fresh(evidence, decision.at, at)
    if replay.old is None:
        return _from_stored(replay.new, seen, decision, at)
    old = Hearing.of(replay.old, seen, at)
    new = old.beside(replay.new) if replay.same_threats else Hearing.of(replay.new, seen, at)
    shared = replay.settled & {one.rule.id for one in old.questions} & {one.rule.id for one in new.questions}
    own = tuple(old.blocking(without=shared))
    new.take_over(old, replay.unchanged)
    its = tuple(new.blocking(without=shared))
    if shared:
        if verdict_of(own) is verdict_of(its):
            return None  # what both ask adds the same to both
        for outcome in old.blocking(among=shared):
            if outcome.status is Status.DENIED:
                return None
            own, its = (*own, outcome), (*its, outcome)
    before = Standing.of(own, replay.old.mode(seen.subject))
    after = Standing.of(its, replay.new.mode(seen.subject))
    return (before, after) if before.differs(after) else None


def _from_stored(policies: PolicySet, seen: Evidence, decision: Decision, at: datetime) -> Difference | None:
    """How an image stood when it was judged, and by these policies. What was denied then is asked about first."""
    before, mode = Standing.of(decision.outcomes, decision.mode), policies.mode(seen.subject)
    hearing = Hearing.of(policies, seen, at)
    if mode is before.mode and before.verdict is Verdict.REFUSED:
        denied = {one.rule for one in decision.with_status(Status.DENIED)}
        if any(one.status is Status.DENIED for one in hearing.blocking(among=denied)):
            return None
    after = Standing.of(tuple(hearing.blocking()), mode)
    return (before, after) if before.differs(after) else None


def as_fresh(evidence: Evidence, then: datetime, at: datetime) -> Evidence:
    """The evidence with its databases as old at `at` as they were at `then`."""
    scan = evidence.vulnerabilities
    if not isinstance(scan, VulnerabilityScan) or then == at:
        return evidence
    passed = in_utc(at) - in_utc(then)
    databases = tuple(replace(one, updated=in_utc(one.updated) + passed) for one in scan.databases)
    return replace(evidence, vulnerabilities=replace(scan, databases=databases))


def _told(evidence: Evidence, before: Standing, after: Standing, since: date | None) -> VerdictChange:
    return VerdictChange(
        subject=evidence.subject,
        owner=owner_of(evidence),
        before=before.verdict,
        after=after.verdict,
        since=since,
        reasons=tuple(_reasons(before, after)),
        mode_before=before.mode,
        mode_after=after.mode,
    )


def owner_of(evidence: Evidence) -> str | None:
    """Whom an image's labels name: its owner, else its authors, maintainer or vendor."""
    if not isinstance(evidence.settings, Settings):
        return None
    labels = dict(evidence.settings.labels)
    named = (labels.get(label) for label in _OWNER_LABELS)
    ending = (value for label, value in evidence.settings.labels if label.endswith(".owner"))
    return next((one for one in (*named, *ending) if one), None)


def _reasons(before: Standing, after: Standing) -> Iterator[Reason]:
    """The rules that stand in the way now and did not before; when things got better, the other way round.

    Where only the consequences change, those that stand in the way in both.
    """
    better = after.verdict is Verdict.ADMITTED or (after.verdict is before.verdict and after.lets_in)
    found, other = (before, after) if better else (after, before)
    same = after.verdict is before.verdict
    blocking_there = set() if same else {outcome.rule for outcome in other.outcomes if _blocks(outcome)}
    for outcome in found.outcomes:
        if _blocks(outcome) and outcome.rule not in blocking_there:
            yield _reason(outcome)


def _blocks(outcome: RuleOutcome) -> bool:
    undecided = outcome.status is Status.UNDECIDED and outcome.effect is Effect.DENY
    return undecided or outcome.status is Status.DENIED


def _reason(outcome: RuleOutcome) -> Reason:
    found = [violation for violation in outcome.violations if violation.waiver is None]
    text = found[0].message if found else outcome.reason or outcome.why
    remedy = (found[0].remedy if found else None) or outcome.fix
    return Reason(outcome.rule, outcome.policy, outcome.status, text, remedy, len(found))
