"""The SBOM that comes with an image."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Flag, Parameters, Result, Selector
from compliance.policy.decision import Violation
from compliance.policy.wording import label

REPUSH = "build and push it with mlbuild, which writes and sends the SBOM"


class SbomPresentParameters(Parameters):
    """How good the SBOM must be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"complete": True}]})

    complete: Flag = Field(
        default=False, description="Demand that SBOM and image name the same packages, none missing, none extra."
    )


def run(
    parameters: SbomPresentParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images that come without an SBOM, with an empty one or, if `complete`, with one that is not true."""
    sbom = evidence.sbom
    if isinstance(sbom, Absent):
        return sbom if sbom.pending else (_violation("sbom", f"there is no SBOM: {sbom.reason}"),)
    if sbom.components == 0:
        return (_violation("sbom", "the SBOM names no component"),)
    if not parameters.complete:
        return ()
    missing = (_violation(purl, f"{label(purl)} is in the image but not in its SBOM") for purl in sbom.missing)
    extra = (_violation(purl, f"{label(purl)} is in the SBOM but not in the image") for purl in sbom.extra)
    return (*missing, *extra)


def _violation(culprit: str, message: str) -> Violation:
    return Violation(culprit=culprit, key=culprit, message=message, remedy=REPUSH)


CHECK = Check(
    name="sbom-present",
    parameters=SbomPresentParameters,
    run=run,
    waived_by=frozenset({Selector.KEY, Selector.PACKAGE}),
)
