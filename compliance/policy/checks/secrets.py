"""Credentials left in files."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Secret, Severity
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

ORDER: Final = {severity: rank for rank, severity in enumerate(Severity)}
REMEDIES: Final = {
    Origin.APP: "remove it from the app, revoke it, pass it at run time",
    Origin.DEPENDENCY: "tell the package's maintainers, and use a release without it",
    Origin.BASE: "tell the base's owner, and move to a base without it",
}


class SecretsParameters(Parameters):
    """Which findings count."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"origins": ["app"], "min-severity": "medium"}]})

    origins: Some[Origin] = Field(
        default=tuple(Origin), description="Whose files count: the base image's, dependencies', the app's."
    )
    min_severity: Severity = Field(
        default=Severity.UNKNOWN, description="The least severity that counts; `unknown` always does."
    )


def run(parameters: SecretsParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images with tokens, passwords or private keys in their files.

    The secret itself is never part of a report.
    """
    if isinstance(evidence.secrets, Absent):
        return evidence.secrets
    return tuple(_violation(found) for found in evidence.secrets if _counts(found, parameters))


def _counts(found: Secret, parameters: SecretsParameters) -> bool:
    severe = found.severity is Severity.UNKNOWN or ORDER[found.severity] >= ORDER[parameters.min_severity]
    return found.origin in parameters.origins and severe


def _violation(found: Secret) -> Violation:
    return Violation(
        culprit=f"{found.path}:{found.line}",
        key=found.path,
        message=f"{found.title} in {found.path}, line {found.line}",
        origin=found.origin,
        remedy=REMEDIES[found.origin],
        severity=found.severity,
    )


CHECK = Check(name="secrets", parameters=SecretsParameters, run=run, waived_by=frozenset({Selector.PATH}))
