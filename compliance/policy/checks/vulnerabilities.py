"""Known vulnerabilities in installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Severity, Vulnerability
from compliance.instants import days_before, in_utc
from compliance.inventory import Base, Inventory, Origin, Package
from compliance.policy.check import Check, Days, Flag, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.versions import smallest_above
from compliance.policy.wording import ecosystem_of

ORDER: Final[Mapping[str, int]] = {severity: rank for rank, severity in enumerate(reversed(Severity))}


class GraceFrom(StrEnum):
    """Where days of grace begin."""

    PUBLISHED = "published"
    FIRST_SEEN = "first-seen"


class VulnerabilitiesParameters(Parameters):
    """Which vulnerabilities count: those to which everything that is given applies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "severities": ["high", "critical"],
                    "only-fixable": True,
                    "grace-days-by-severity": {"critical": 3, "high": 14},
                }
            ]
        }
    )

    severities: Some[Severity] = Field(
        default=tuple(Severity), description="The severities that count; `unknown` is one of them."
    )
    only_fixable: Flag = Field(
        default=False, description="Ignore vulnerabilities for which no fixed version is known."
    )
    origins: Some[Origin] = Field(
        default=tuple(Origin), description="Whose packages count: the base image's, dependencies, the app's."
    )
    min_cvss: Annotated[float, Field(ge=0, le=10)] | None = Field(
        default=None, description="The least CVSS base score. What has no score counts."
    )
    min_epss: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="The least probability (EPSS) of being exploited within 30 days. What has no score counts.",
    )
    known_exploited: Flag = Field(
        default=False,
        description="Only what is listed as being exploited (CISA's KEV). Without the list nothing can be told.",
    )
    grace_days: Days = Field(default=0, description="Days before a vulnerability counts.")
    grace_days_by_severity: dict[Severity, Days] = Field(
        default={}, description="Days before one of that severity counts, in place of grace-days."
    )
    grace_from: GraceFrom = Field(
        default=GraceFrom.PUBLISHED,
        description="Whether grace begins with publication, or when it was first seen in this package here.",
    )

    def grace(self, severity: Severity) -> int:
        """Days of grace for a severity."""
        return self.grace_days_by_severity.get(severity, self.grace_days)


def run(parameters: VulnerabilitiesParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses packages with known vulnerabilities.

    The remedy names the smallest fixed version above the installed one, or the base's owner where the
    package came with the base image. A package whose origin is not known counts as everybody's. A
    vulnerability without a date has no days of grace; one not seen before begins its days at publication.
    """
    scan = evidence.vulnerabilities
    if isinstance(scan, Absent):
        return scan
    if isinstance(evidence.inventory, Absent):
        return evidence.inventory
    severe = [found for found in scan.vulnerabilities if found.severity in parameters.severities]
    if not severe:
        return ()
    if parameters.known_exploited and any(found.known_exploited is None for found in severe):
        return Absent("no catalogue of exploited vulnerabilities was given (policies/data/kev.json)")
    packages, moment = _by_purl(evidence.inventory), in_utc(at)
    graces = {one: _Grace.of(parameters, one, moment) for one in {found.severity for found in severe}}
    known = ((found, packages.get(found.purl)) for found in severe)
    violations = [
        _violation(found, package, evidence)
        for found, package in known
        if _counts(found, package, parameters) and not graces[found.severity].spares(found)
    ]
    return tuple(sorted(violations, key=_rank))


def _by_purl(inventory: Inventory) -> Mapping[str, Package]:
    return {package.purl: package for package in reversed(inventory.packages)}


def _counts(found: Vulnerability, package: Package | None, parameters: VulnerabilitiesParameters) -> bool:
    """Whether it is one of those that are meant, grace aside."""
    if parameters.only_fixable and not found.fixed:
        return False
    if package is not None and package.origin not in parameters.origins:
        return False
    if parameters.known_exploited and not found.known_exploited:
        return False
    return not (_is_less(found.cvss, parameters.min_cvss) or _is_less(found.epss, parameters.min_epss))


def _is_less(score: float | None, least: float | None) -> bool:
    return score is not None and least is not None and score < least


@dataclass(frozen=True, slots=True)
class _Grace:
    """The days before a vulnerability of one severity counts: what began after `since` is spared.

    `since` is None where the calendar begins later than the days do.
    """

    days: int
    by_first_seen: bool
    since: datetime | None

    @classmethod
    def of(cls, parameters: VulnerabilitiesParameters, severity: Severity, at: datetime) -> _Grace:
        days = parameters.grace(severity)
        return cls(days, parameters.grace_from is GraceFrom.FIRST_SEEN, days_before(at, days))

    def spares(self, found: Vulnerability) -> bool:
        if self.days == 0:
            return False
        begun = (found.first_seen if self.by_first_seen else None) or found.published
        return begun is not None and (self.since is None or in_utc(begun) > self.since)


def _violation(found: Vulnerability, package: Package | None, evidence: Evidence) -> Violation:
    fixed = smallest_above(found.installed, found.fixed, ecosystem_of(found.purl))
    return Violation(
        culprit=found.purl,
        key=found.id,
        message=f"{found.id} ({_weight(found)}) in {found.package} {found.installed}: {found.title}",
        origin=package.origin if package is not None else None,
        chain=package.chain if package is not None else (),
        remedy=_remedy(found, fixed, package, evidence),
        severity=found.severity,
        aliases=found.aliases,
        fixed=fixed,
    )


def _weight(found: Vulnerability) -> str:
    """The severity, and that it is being exploited where that is known."""
    return f"{found.severity}, exploited" if found.known_exploited else str(found.severity)


def _remedy(found: Vulnerability, fixed: str | None, package: Package | None, evidence: Evidence) -> str:
    if package is not None and package.origin is Origin.BASE:
        owner = evidence.base.owner if isinstance(evidence.base, Base) else "the base's owner"
        rebuilt = f" with {found.package} {fixed} or later" if fixed else ""
        return f"ask {owner} to rebuild the base{rebuilt}, or move to a newer base"
    if fixed is None:
        return f"no fixed version is known: replace {found.package}, or ask for a waiver"
    return f"raise {found.package} to {fixed} or later"


def _rank(violation: Violation) -> tuple[int, str, str]:
    return ORDER[violation.severity or Severity.UNKNOWN], violation.culprit, violation.key


CHECK = Check(
    name="vulnerabilities",
    parameters=VulnerabilitiesParameters,
    run=run,
    waived_by=frozenset({Selector.VULNERABILITY, Selector.PACKAGE}),
)
