"""What a changed set of policies would do to images that were judged before: which verdicts change, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from compliance.evidence import Evidence, Subject, VulnerabilityScan
from compliance.instants import in_utc
from compliance.policy.decision import Decision, Mode, Status, Verdict
from compliance.policy.evaluate import verdict_of
from compliance.policy.hearing import Hearing
from compliance.policy.model import PolicySet, Waiver
from compliance.policy.verdict_change import Standing, VerdictChange, change_between

Difference = tuple[Standing, Standing]
"""How an image stood before, and how it stands after."""


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
        """The `unchanged` rules that come to the same: neither the rule changed nor what may excuse findings."""
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
        return change_between(evidence, *found, None)
    calm = start
    for moment in _turning_points(replay, evidence.subject, start):
        if found := _difference(replay, evidence, decision, moment):
            return change_between(evidence, *_first(replay, evidence, decision, (calm, moment), found))
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
