"""What the reports have in common: the words for a verdict, and violations gathered by culprit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from compliance.evidence import Database, Subject
from compliance.instants import in_utc
from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status, Verdict, Violation
from compliance.policy.versions import largest
from compliance.policy.wording import count, ecosystem_of, label, origin_words, place_words

HEADLINES: Final = {
    Verdict.ADMITTED: "ADMITTED",
    Verdict.REFUSED: "REFUSED",
    Verdict.UNDECIDABLE: "COULD NOT DECIDE",
}


_AUDITED: Final = {
    Verdict.ADMITTED: "ADMITTED (AUDIT ONLY)",
    Verdict.REFUSED: "AUDIT ONLY, WOULD BE REFUSED",
    Verdict.UNDECIDABLE: "AUDIT ONLY, COULD NOT DECIDE",
}


_LATER: Final = {
    Verdict.ADMITTED: "COMPLIES",
    Verdict.REFUSED: "NO LONGER COMPLIES",
    Verdict.UNDECIDABLE: "COULD NOT DECIDE",
}


def headline_of(decision: Decision) -> str:
    """The verdict in words, which say so where it blocks nothing, or is on what was admitted before."""
    if decision.later and decision.mode is Mode.ENFORCE:
        return _LATER[decision.verdict]
    return headline(decision.verdict, decision.mode)


def headline(verdict: Verdict, mode: Mode) -> str:
    """A verdict on something new in words, which say so where it blocks nothing."""
    return (_AUDITED if mode is Mode.AUDIT else HEADLINES)[verdict]


@dataclass(frozen=True, slots=True)
class Group:
    """The violations of one rule that have one culprit. `title` names it, `origin` says where it came from."""

    title: str
    origin: str
    violations: tuple[Violation, ...]
    remedies: tuple[str, ...]

    @property
    def place(self) -> str:
        """The origin, and the layer that holds it where there is an image."""
        return place_words(self.origin, self.violations[0].layer)

    @property
    def texts(self) -> tuple[str, ...]:
        """What is wrong, a line each, without the culprit that the title names already."""
        return tuple(one.message.replace(f" in {self.title}", "", 1) for one in self.violations)


def groups(violations: Iterable[Violation]) -> tuple[Group, ...]:
    """The violations by culprit, in order of first appearance."""
    gathered: dict[tuple[str, str], list[Violation]] = {}
    for one in violations:
        gathered.setdefault((one.culprit, origin_words(one.origin, one.chain)), []).append(one)
    return tuple(
        Group(label(culprit), origin, tuple(members), _remedies(members))
        for (culprit, origin), members in gathered.items()
    )


def _remedies(members: list[Violation]) -> tuple[str, ...]:
    """The remedies, each once. Where several versions are named, only the one that mends everything."""
    newest = largest((one.fixed for one in members if one.fixed), ecosystem_of(members[0].culprit))
    wanted = [one.remedy for one in members if one.remedy and (newest is None or one.fixed in (None, newest))]
    return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True)
class Told:
    """A rule's outcome as a report tells it: its open violations, less those an earlier rule has told already."""

    outcome: RuleOutcome
    violations: tuple[Violation, ...]
    repeated: int


def told(decision: Decision) -> tuple[Told, ...]:
    """The rules that refuse, then those that warn of something no other rule has told."""
    seen: set[tuple[str, str, str]] = set()
    denied = [_told(outcome, seen) for outcome in decision.with_status(Status.DENIED)]
    warned = [_told(outcome, seen) for outcome in decision.with_status(Status.WARNED)]
    return (*denied, *(one for one in warned if one.violations))


def _told(outcome: RuleOutcome, seen: set[tuple[str, str, str]]) -> Told:
    found = [one for one in outcome.violations if one.waiver is None]
    fresh = tuple(one for one in found if (outcome.check, one.culprit, one.key) not in seen)
    seen.update((outcome.check, one.culprit, one.key) for one in fresh)
    return Told(outcome, fresh, len(found) - len(fresh))


@dataclass(frozen=True, slots=True)
class Undecided:
    """Rules that could not be decided, all for one reason. `blocking` are those that would deny."""

    reason: str
    rules: tuple[str, ...]
    blocking: tuple[str, ...]


def undecided(decision: Decision) -> tuple[Undecided, ...]:
    """What could not be decided, by reason, in order of first appearance."""
    by_reason: dict[str, list[RuleOutcome]] = {}
    for outcome in decision.with_status(Status.UNDECIDED):
        by_reason.setdefault(outcome.reason or "no reason is known", []).append(outcome)
    return tuple(
        Undecided(
            reason,
            tuple(one.rule for one in outcomes),
            tuple(one.rule for one in outcomes if one.effect is Effect.DENY),
        )
        for reason, outcomes in by_reason.items()
    )


def name(subject: Subject) -> str:
    """The subject as a reference: `serving/iris@sha256:…`, or `serving/iris (lock)` where none is built yet."""
    return f"{subject.repository}@{subject.digest}" if subject.digest else f"{subject.repository} (lock)"


def age(database: Database, at: datetime) -> str:
    """`trivy, 2 days old`."""
    days = max(0, (in_utc(at) - in_utc(database.updated)).days)
    return f"{database.name}, {count(days, 'day')} old" if days else f"{database.name}, made today"


def tally(decision: Decision) -> str:
    """`12 rules passed, 1 warned`."""
    counted = [(status, len(decision.with_status(status))) for status in Status]
    words = [f"{number} {status}" for status, number in counted if number]
    return f"{count(len(decision.outcomes), 'rule')}: {', '.join(words)}"
