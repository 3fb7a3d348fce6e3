"""Known vulnerabilities in installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Severity, Vulnerability
from compliance.inventory import Base, Inventory, Origin, Package
from compliance.policy.canonical import in_utc
from compliance.policy.check import Check, Days, Flag, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.versions import smallest_above
from compliance.policy.wording import ecosystem_of

ORDER: Final = {severity: rank for rank, severity in enumerate(reversed(Severity))}


class VulnerabilitiesParameters(Parameters):
    """Which vulnerabilities count."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"severities": ["critical"], "only-fixable": True, "grace-days": 3}]}
    )

    severities: Some[Severity] = Field(description="The severities that count; `unknown` is one of them.")
    only_fixable: Flag = Field(
        default=False, description="Ignore vulnerabilities for which no fixed version is known."
    )
    origins: Some[Origin] = Field(
        default=tuple(Origin), description="Whose packages count: the base image's, dependencies, the app's."
    )
    grace_days: Days = Field(
        default=0,
        description="Days after publication before a vulnerability counts. Without a date it counts at once.",
    )


def run(parameters: VulnerabilitiesParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses packages with known vulnerabilities of the given severities.

    The remedy names the smallest fixed version above the installed one, or the base's owner where the
    package came with the base image. A package whose origin is not known counts as everybody's.
    """
    scan = evidence.vulnerabilities
    if isinstance(scan, Absent):
        return scan
    if isinstance(evidence.inventory, Absent):
        return evidence.inventory
    packages = _by_purl(evidence.inventory)
    violations = [
        _violation(found, packages.get(found.purl), evidence)
        for found in scan.vulnerabilities
        if _counts(found, packages.get(found.purl), parameters, at)
    ]
    return tuple(sorted(violations, key=_rank))


def _by_purl(inventory: Inventory) -> Mapping[str, Package]:
    return {package.purl: package for package in reversed(inventory.packages)}


def _counts(
    found: Vulnerability, package: Package | None, parameters: VulnerabilitiesParameters, at: datetime
) -> bool:
    if found.severity not in parameters.severities or (parameters.only_fixable and not found.fixed):
        return False
    if package is not None and package.origin not in parameters.origins:
        return False
    if found.published is None:
        return True
    return in_utc(at) - in_utc(found.published) >= timedelta(days=parameters.grace_days)


def _violation(found: Vulnerability, package: Package | None, evidence: Evidence) -> Violation:
    fixed = smallest_above(found.installed, found.fixed, ecosystem_of(found.purl))
    return Violation(
        culprit=found.purl,
        key=found.id,
        message=f"{found.id} ({found.severity}) in {found.package} {found.installed}: {found.title}",
        origin=package.origin if package is not None else None,
        chain=package.chain if package is not None else (),
        remedy=_remedy(found, fixed, package, evidence),
        severity=found.severity,
        aliases=found.aliases,
        fixed=fixed,
    )


def _remedy(found: Vulnerability, fixed: str | None, package: Package | None, evidence: Evidence) -> str:
    if package is not None and package.origin is Origin.BASE:
        owner = evidence.base.owner if isinstance(evidence.base, Base) else "the base's owner"
        rebuilt = f" with {found.package} {fixed} or later" if fixed else ""
        return f"ask {owner} to rebuild the base{rebuilt}, or move to a newer base"
    if fixed is None:
        return f"no fixed version is known: replace {found.package}, or ask for a waiver"
    return f"raise {found.package} to {fixed} or later"


def _rank(violation: Violation) -> tuple[int, str, str]:
    return ORDER[Severity(violation.severity or Severity.UNKNOWN)], violation.culprit, violation.key


CHECK = Check(
    name="vulnerabilities",
    parameters=VulnerabilitiesParameters,
    run=run,
    waived_by=frozenset({Selector.VULNERABILITY, Selector.PACKAGE}),
)
