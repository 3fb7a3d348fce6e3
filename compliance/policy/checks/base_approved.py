"""The base image and its age."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Base, Origin
from compliance.policy.canonical import in_utc
from compliance.policy.check import Check, Days, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.pattern import matches

CHOOSE = "set `base:` in mlbuild.yaml to an approved base; `mlbuild base list` shows them"


class BaseApprovedParameters(Parameters):
    """Which bases are good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"names": ["python3.11-*"], "end-of-life-within-days": 30}]}
    )

    names: Some[str] = Field(
        default=("**",), description="Patterns of approved base names; left out, every curated base is approved."
    )
    end_of_life_within_days: Days = Field(
        default=0, description="Refuse a base this many days before its end of life already."
    )


def run(parameters: BaseApprovedParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses images whose base is not a curated one, is not among those named, or is past its end of life.

    A base is recognised by the layers it is made of, not by what the image says of itself.
    """
    base = evidence.base
    if isinstance(base, Absent):
        if base.pending:
            return base
        return (_violation("base image", f"the base is not an approved one: {base.reason}", CHOOSE),)
    if not any(matches(pattern, base.name) for pattern in parameters.names):
        return (_violation(base.name, f"base {base.name} is not approved here", CHOOSE),)
    ends = in_utc(base.end_of_life)
    if ends - in_utc(at) > timedelta(days=parameters.end_of_life_within_days):
        return ()
    tense = "reached" if in_utc(at) >= ends else "reaches"
    return (_violation(base.name, f"base {base.name} {tense} its end of life on {ends.date()}", _newer(base)),)


def _newer(base: Base) -> str:
    return f"move to a newer base (`mlbuild base list`), or ask {base.owner} for one"


def _violation(culprit: str, message: str, remedy: str) -> Violation:
    return Violation(culprit=culprit, key=culprit, message=message, origin=Origin.BASE, remedy=remedy)


CHECK = Check(
    name="base-approved", parameters=BaseApprovedParameters, run=run, waived_by=frozenset({Selector.KEY})
)
