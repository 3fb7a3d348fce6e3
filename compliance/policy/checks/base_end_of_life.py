"""The day from which nobody mends the base image."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.instants import in_utc
from compliance.inventory import Origin
from compliance.policy.check import Check, Days, Parameters, Result, Selector
from compliance.policy.decision import Violation


class BaseEndOfLifeParameters(Parameters):
    """How early to object."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"within-days": 30}]})

    within_days: Days = Field(default=0, description="Refuse a base this many days before its end already.")


def run(parameters: BaseEndOfLifeParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses images on a base that is past its end of life, or soon will be."""
    base = evidence.base
    if isinstance(base, Absent):
        return base
    ends = in_utc(base.end_of_life)
    if ends - in_utc(at) > timedelta(days=parameters.within_days):
        return ()
    tense = "reached" if in_utc(at) >= ends else "reaches"
    return (
        Violation(
            culprit=base.name,
            key=base.name,
            message=f"base {base.name} {tense} its end of life on {ends.date()}",
            origin=Origin.BASE,
            remedy=f"move to a newer base (`mlbuild base list`), or ask {base.owner} for one",
        ),
    )


CHECK = Check(
    name="base-end-of-life", parameters=BaseEndOfLifeParameters, run=run, waived_by=frozenset({Selector.KEY})
)
