"""Releases that their index has withdrawn."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.locked import installed_packages, locked_violation


class YankedParameters(Parameters):
    """There are none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


def run(parameters: YankedParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses locked packages that their index said were yanked when they were locked (PEP 592).

    A resolver takes a yanked release only where a requirement pins it exactly. Where the lock does not say of
    every package whether it was, and none is known to be, the rule is undecided.
    """
    if isinstance(evidence.lock, Absent):
        return evidence.lock
    telling = [package for package in evidence.lock.packages if package.yanked is not False]
    yanked = [package for package in telling if package.yanked]
    if telling and not yanked:
        unknown = [package.name for package in telling]
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        return Absent(
            f"the lock does not say whether {', '.join(unknown[:3])}{more} were yanked: run `mlbuild lock` again"
        )
    installed = installed_packages(evidence) if yanked else {}
    return tuple(
        locked_violation(
            package,
            installed,
            "was withdrawn by its maintainers (yanked)",
            f"choose another version of {package.name}",
        )
        for package in yanked
    )


CHECK = Check(name="yanked", parameters=YankedParameters, run=run, waived_by=frozenset({Selector.PACKAGE}))
