"""What becomes of an image that was admitted and no longer complies: for how long it may still be pulled.

Every open violation has a number of days. A rule's own `later: {pullable-days: N}` counts; else the least that
any policy for the image says; else DEFAULT_DAYS. What is exploited or malicious has none, unless every policy with
a `later` leaves it out of `at-once`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from compliance.evidence import Evidence, VulnerabilityScan
from compliance.policy.decision import Decision, RuleOutcome, Status, Urgency, Violation
from compliance.policy.model import Later, Policy, Rule

DEFAULT_DAYS: Final = 7
"""Days, where no policy for an image says anything."""

_MALWARE: Final = "MAL-"
"""How OSV calls advisories of malicious packages."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the policies for one image give what is found later. `exploited` are names of vulnerabilities."""

    days: int
    at_once: frozenset[Urgency]
    exploited: frozenset[str]

    def on(self, rule: Rule, outcome: RuleOutcome) -> RuleOutcome:
        """The outcome with the days that its violations have. Only a denial has any."""
        if outcome.status is not Status.DENIED:
            return outcome
        marked = tuple(replace(one, at_once=self._urgency(one)) for one in outcome.violations)
        days = self.days if rule.later.pullable_days is None else rule.later.pullable_days
        return replace(outcome, violations=marked, pullable_days=days)

    def _urgency(self, violation: Violation) -> Urgency | None:
        names = {violation.key, *violation.aliases}
        if Urgency.MALWARE in self.at_once and any(name.startswith(_MALWARE) for name in names):
            return Urgency.MALWARE
        if Urgency.KNOWN_EXPLOITED in self.at_once and not self.exploited.isdisjoint(names):
            return Urgency.KNOWN_EXPLOITED
        return None


def terms_for(policies: Sequence[Policy], evidence: Evidence) -> Terms:
    """The terms of the policies for an image; the strictest counts."""
    said = [policy.later for policy in policies if policy.later is not None]
    days = [one.pullable_days for one in said if one.pullable_days is not None]
    at_once = frozenset(urgency for one in said or [Later()] for urgency in one.at_once)
    scan = evidence.vulnerabilities
    found = scan.vulnerabilities if isinstance(scan, VulnerabilityScan) else ()
    names = frozenset(name for one in found if one.known_exploited for name in (one.id, *one.aliases))
    return Terms(min(days, default=DEFAULT_DAYS), at_once, names)


@dataclass(frozen=True, slots=True)
class Blocking:
    """One reason why an admitted image no longer complies, and the days it leaves."""

    check: str
    culprit: str
    names: tuple[str, ...]
    days: int


def blocking(decision: Decision) -> Iterator[Blocking]:
    """The reasons that a later decision gives, in its order."""
    for outcome in decision.with_status(Status.DENIED):
        for one in outcome.violations:
            if one.waiver is None:
                days = 0 if one.at_once is not None else outcome.pullable_days or 0
                yield Blocking(outcome.check, one.culprit, (one.key, *one.aliases), days)
