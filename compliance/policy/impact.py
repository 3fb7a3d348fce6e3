"""What a changed set of policies would do to images that were judged before: whose verdict changes, why, when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Final

from compliance.evidence import Evidence, Subject, VulnerabilityScan
from compliance.inventory import Settings
from compliance.policy.canonical import in_utc
from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status, Verdict
from compliance.policy.evaluate import Results, judge, verdict_of
from compliance.policy.model import PolicySet, Waiver

_OWNER_LABELS: Final = (
    "owner",
    "org.opencontainers.image.authors",
    "maintainer",
    "org.opencontainers.image.vendor",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What judging an image came to: what every rule said, and whether that blocks anything."""

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
    def unchanged(self) -> frozenset[str]:
        """The rules that ask the same in both: their checks need not run twice."""
        if self.old is None or self.old.threats != self.new.threats:
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
    before, after = _standings(replay, evidence, decision, start)
    if before.differs(after):
        return _told(evidence, before, after, None)
    calm = start
    for moment in _turning_points(replay, evidence.subject, start):
        if _differs(replay, evidence, decision, moment):
            first = _first_day(replay, evidence, decision, calm, moment)
            return _told(evidence, *_standings(replay, evidence, decision, first), first.date())
        calm = moment
    return None


def _turning_points(replay: Replay, subject: Subject, start: datetime) -> list[datetime]:
    """When something begins or ends for the subject by a date in a policy or waiver, up to and with `until`."""
    end = start if replay.until is None else in_utc(replay.until)
    days: set[date] = set()
    for policies in (replay.new, *((replay.old,) if replay.old is not None else ())):
        days |= {rule.enforce_from for _, rule in policies.rules() if rule.enforce_from is not None}
        for waiver in policies.waivers:
            if waiver.scope.covers(subject):
                days |= {waiver.created, waiver.expires + timedelta(days=1)}
    moments = {datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days} | {end}
    return sorted(moment for moment in moments if start < moment <= end)


def _first_day(
    replay: Replay, evidence: Evidence, decision: Decision, calm: datetime, changed: datetime
) -> datetime:
    """The first midnight after `calm` at which the verdicts differ, as they do at `changed`; else that."""
    low, high = 0, (changed - calm).days + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _differs(replay, evidence, decision, _day_after(calm, middle, changed)):
            high = middle
        else:
            low = middle
    return _day_after(calm, high, changed)


def _day_after(start: datetime, days: int, end: datetime) -> datetime:
    """Midnight, `days` days after the day of `start`, and at most `end`."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight + timedelta(days=days), end)


def _differs(replay: Replay, evidence: Evidence, decision: Decision, at: datetime) -> bool:
    before, after = _standings(replay, evidence, decision, at)
    return before.differs(after)


def _standings(replay: Replay, evidence: Evidence, decision: Decision, at: datetime) -> tuple[Standing, Standing]:
    seen, subject = as_fresh(evidence, decision.at, at), evidence.subject
    if replay.old is None:
        before = Standing.of(decision.outcomes, decision.mode)
        return before, Standing.of(judge(replay.new, seen, at), replay.new.mode(subject))
    results: Results = {}
    before = Standing.of(judge(replay.old, seen, at, results=results), replay.old.mode(subject))
    kept = {rule: result for rule, result in results.items() if rule in replay.unchanged}
    settled = {outcome.rule: outcome for outcome in before.outcomes if outcome.rule in replay.settled}
    after = judge(replay.new, seen, at, results=kept, settled=settled)
    return before, Standing.of(after, replay.new.mode(subject))


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
