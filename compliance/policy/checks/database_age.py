"""How fresh the vulnerability databases are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.instants import in_utc
from compliance.policy.check import Check, Days, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

FETCH = "let the machine that judges fetch it, or give it a copy"
REFRESH = "let the machine that judges fetch a newer database, then judge again"

DatabaseName = Literal["trivy", "advisories"]


class DatabaseAgeParameters(Parameters):
    """Which databases must be used, and how old they may be: Trivy's own `trivy`, the private `advisories`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"max-age-days": {"trivy": 7}, "required": ["trivy"]}]}
    )

    max_age_days: Annotated[dict[DatabaseName, Days], Field(min_length=1)] | None = Field(
        default=None, description="The oldest each database may be, where it is used. Others may be any age."
    )
    required: Some[DatabaseName] | None = Field(
        default=None, description="The databases that must have been used."
    )

    @model_validator(mode="after")
    def _demands_something(self) -> DatabaseAgeParameters:
        if self.max_age_days is None and self.required is None:
            raise ValueError("demands nothing: give max-age-days or required")
        return self


def run(parameters: DatabaseAgeParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses to rely on vulnerability databases that are too old or were not used.

    A database's age is counted from when its content was made to the time of the decision.
    """
    scan = evidence.vulnerabilities
    if isinstance(scan, Absent):
        return scan
    limits: Mapping[str, int] = {str(name): days for name, days in (parameters.max_age_days or {}).items()}
    used = {database.name for database in scan.databases}
    missing = (
        _violation(name, f"the database {name!r} was not used", FETCH)
        for name in parameters.required or ()
        if name not in used
    )
    old = (
        _violation(
            one.name, f"the database {one.name!r} is {age.days} days old, {limits[one.name]} are allowed", REFRESH
        )
        for one in scan.databases
        if one.name in limits
        if (age := in_utc(at) - in_utc(one.updated)) > timedelta(days=limits[one.name])
    )
    return (*missing, *old)


def _violation(name: str, message: str, remedy: str) -> Violation:
    return Violation(culprit=name, key=name, message=message, remedy=remedy)


CHECK = Check(name="database-age", parameters=DatabaseAgeParameters, run=run, waived_by=frozenset({Selector.KEY}))
