"""How long ago the base image was made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.instants import in_utc
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation


class BaseAgeParameters(Parameters):
    """How old it may be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max-days": 90}]})

    max_days: Annotated[int, Field(strict=True, ge=1, le=36500)] = Field(
        description="The most days since the archives were in the state that the base was made from."
    )


def run(parameters: BaseAgeParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses images on a base that has not been made anew for too long, and so lacks what was mended since."""
    base = evidence.base
    if isinstance(base, Absent):
        return base
    if base.created is None:
        return Absent(f"base {base.name} does not say when it was made")
    age = in_utc(at) - in_utc(base.created)
    if age <= timedelta(days=parameters.max_days):
        return ()
    return (
        Violation(
            culprit=base.name,
            key=base.name,
            message=f"base {base.name} is {age.days} days old, {parameters.max_days} are allowed",
            origin=Origin.BASE,
            remedy=f"ask {base.owner} to lock it again (`mlbuild base lock`), then build again",
        ),
    )


CHECK = Check(name="base-age", parameters=BaseAgeParameters, run=run, waived_by=frozenset({Selector.KEY}))
