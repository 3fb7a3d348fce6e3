"""The SBOM against what is in the image."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Flag, Parameters, Result, Selector
from compliance.policy.decision import Violation
from compliance.policy.wording import label


class SbomCompleteParameters(Parameters):
    """Which differences count."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"extra": True}]})

    extra: Flag = Field(default=True, description="Refuse what the SBOM names and the image does not have, too.")


def run(
    parameters: SbomCompleteParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images whose SBOM leaves out a package that is in their bytes, or names one that is not.

    An image without an SBOM is refused too.
    """
    sbom = evidence.sbom
    if isinstance(sbom, Absent):
        return sbom if sbom.pending else (_violation("sbom", f"there is no SBOM: {sbom.reason}"),)
    missing = (_violation(purl, f"{label(purl)} is in the image but not in its SBOM") for purl in sbom.missing)
    made_up = sbom.extra if parameters.extra else ()
    extra = (_violation(purl, f"{label(purl)} is in the SBOM but not in the image") for purl in made_up)
    return (*missing, *extra)


def _violation(culprit: str, message: str) -> Violation:
    return Violation(
        culprit=culprit,
        key=culprit,
        message=message,
        remedy="build and push it with mlbuild, whose SBOM comes from the lock and the base",
    )


CHECK = Check(
    name="sbom-complete",
    parameters=SbomCompleteParameters,
    run=run,
    waived_by=frozenset({Selector.KEY, Selector.PACKAGE}),
)
