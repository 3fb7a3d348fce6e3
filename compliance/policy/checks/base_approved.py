"""Which base images may be built on."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.pattern import matches

CHOOSE = "set `base:` in mlbuild.yaml to an approved base; `mlbuild base list` shows them"


class BaseApprovedParameters(Parameters):
    """Which bases are good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"names": ["python3.11-*"]}]})

    names: Some[str] = Field(
        default=("**",), description="Patterns of approved base names; left out, every curated base is approved."
    )


def run(
    parameters: BaseApprovedParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images whose base is not a curated one, or is not among those named.

    A base is recognised by the layers it is made of, not by what the image says of itself.
    """
    base = evidence.base
    if isinstance(base, Absent):
        if base.pending:
            return base
        return (_violation("base image", f"the base is not an approved one: {base.reason}"),)
    if any(matches(pattern, base.name) for pattern in parameters.names):
        return ()
    return (_violation(base.name, f"base {base.name} is not approved here"),)


def _violation(culprit: str, message: str) -> Violation:
    return Violation(culprit=culprit, key=culprit, message=message, origin=Origin.BASE, remedy=CHOOSE)


CHECK = Check(
    name="base-approved", parameters=BaseApprovedParameters, run=run, waived_by=frozenset({Selector.KEY})
)
