"""The SBOM that comes with an image."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation


class SbomPresentParameters(Parameters):
    """There are none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


def run(
    parameters: SbomPresentParameters,  # noqa: ARG001 - as all checks
    evidence: Evidence,
    at: datetime,  # noqa: ARG001
) -> Result:
    """Refuses images that come without a signed SBOM, or with one that names nothing."""
    sbom = evidence.sbom
    if isinstance(sbom, Absent):
        return sbom if sbom.pending else (_violation(f"there is no SBOM: {sbom.reason}"),)
    return () if sbom.components else (_violation("the SBOM names no component"),)


def _violation(message: str) -> Violation:
    return Violation(
        culprit="sbom",
        key="sbom",
        message=message,
        remedy="build and push it with mlbuild, which writes and sends the SBOM",
    )


CHECK = Check(name="sbom-present", parameters=SbomPresentParameters, run=run, waived_by=frozenset({Selector.KEY}))
