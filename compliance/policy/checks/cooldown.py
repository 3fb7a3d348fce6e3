"""How long a release has been out before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, LockedPackage
from compliance.instants import days_before, in_utc
from compliance.policy.check import Check, PackageText, Parameters, Result, Selector
from compliance.policy.locked import installed_packages, locked_purl, locked_violation
from compliance.policy.pattern import package_pattern


class CooldownParameters(Parameters):
    """How many days, and for which packages not."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7, "exempt": ["our-features"]}]})

    days: Annotated[int, Field(strict=True, ge=1, le=365)] = Field(
        description="The least age of a release, in days. `mlbuild lock` chooses by it where the rule denies."
    )
    exempt: tuple[PackageText, ...] = Field(
        default=(), description="Packages, by name or purl, that may be used at once, such as your own."
    )


def run(parameters: CooldownParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses locked packages whose artifact was put on its index less than some days ago.

    Releases that were taken over by somebody else are mostly found out and withdrawn within days. The age
    is counted from the artifact's upload to the time of the decision. One without an upload time is refused.
    """
    if isinstance(evidence.lock, Absent):
        return evidence.lock
    latest = days_before(in_utc(at), parameters.days)
    young = [one for one in evidence.lock.packages if not _is_by(one.upload_time, latest)]
    if not young:
        return ()
    installed = installed_packages(evidence)
    return tuple(
        locked_violation(package, installed, complaint, remedy)
        for package, complaint, remedy in _complaints(parameters, young)
    )


def _is_by(uploaded: datetime | None, latest: datetime | None) -> bool:
    if uploaded is None or latest is None:
        return False
    return (uploaded if uploaded.tzinfo is not None else in_utc(uploaded)) <= latest


def _complaints(
    parameters: CooldownParameters, young: Sequence[LockedPackage]
) -> Iterator[tuple[LockedPackage, str, str]]:
    exempt = [package_pattern(text) for text in parameters.exempt]
    for package in young:
        uploaded = package.upload_time
        if any(pattern.covers(locked_purl(package.name, package.version)) for pattern in exempt):
            continue
        if uploaded is None:
            yield (
                package,
                "is locked without the time of its release",
                "run `mlbuild lock` with an index that gives upload times (PEP 700)",
            )
        else:
            yield (
                package,
                f"was released on {in_utc(uploaded).date()}, less than {parameters.days} days ago",
                "run `mlbuild lock`, which takes an older release, "
                f"or wait until {_end(uploaded, parameters.days)}",
            )


def _end(uploaded: datetime, days: int) -> str:
    try:
        return str((in_utc(uploaded) + timedelta(days=days)).date())
    except OverflowError:  # a time made up, at the end of the calendar
        return f"it is {days} days old"


CHECK = Check(name="cooldown", parameters=CooldownParameters, run=run, waived_by=frozenset({Selector.PACKAGE}))
