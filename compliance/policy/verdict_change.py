"""An image whose verdict changes: how it stood and stands, whose it is, and the rules that make the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from compliance.evidence import Evidence, Subject
from compliance.inventory import Settings
from compliance.policy.decision import Effect, Mode, RuleOutcome, Status, Verdict
from compliance.policy.evaluate import verdict_of

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


def change_between(evidence: Evidence, before: Standing, after: Standing, since: date | None) -> VerdictChange:
    """The change of an image that stood as `before` and stands as `after`, from the day `since` on."""
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
