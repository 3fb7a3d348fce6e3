"""The network during a build."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation
from compliance.policy.locked import locked_purl


class BuildNetworkParameters(Parameters):
    """There are none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


def run(
    parameters: BuildNetworkParameters,  # noqa: ARG001 - as all checks
    evidence: Evidence,
    at: datetime,  # noqa: ARG001
) -> Result:
    """Refuses images whose provenance says that a step, or the build of a package, could reach a network.

    What is fetched while something is built is pinned by nothing and written down nowhere.
    """
    build = evidence.build
    if isinstance(build, Absent):
        return build
    steps = (
        Violation(
            culprit=f"step {number}",
            key=step.command,
            message=f"step {number} of the build ran {step.command!r} with network access",
            origin=Origin.APP,
            remedy="take `network: true` off the step; what it fetched belongs in the lock or the project",
        )
        for number, step in enumerate(build.steps, 1)
        if step.network
    )
    sdists = (
        Violation(
            culprit=locked_purl(one.name, one.version),
            key=one.name,
            message=f"{one.name} {one.version} was built from source with network access",
            origin=Origin.DEPENDENCY,
            remedy=f"publish a wheel of {one.name} on an index of your own",
        )
        for one in build.sdists
        if one.network
    )
    return (*steps, *sdists)


CHECK = Check(
    name="build-network",
    parameters=BuildNetworkParameters,
    run=run,
    waived_by=frozenset({Selector.KEY, Selector.PACKAGE}),
)
