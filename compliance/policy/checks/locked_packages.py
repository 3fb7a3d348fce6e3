"""Packages in the image against packages in the lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Lock, LockedPackage
from compliance.inventory import Ecosystem, Origin, Package
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.locked import normal_name
from compliance.policy.versions import same

RELOCK = "add it to the requirements and run `mlbuild lock`"


class LockedPackagesParameters(Parameters):
    """Whose packages must be locked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"origins": ["dependency", "app"]}]})

    origins: Some[Origin] = Field(
        default=(Origin.DEPENDENCY, Origin.APP),
        description="Whose packages count. A base's own are pinned by the base's lock.",
    )


def run(
    parameters: LockedPackagesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses Python packages that are not locked, not in the version that is locked, or locked without a sha256.

    An image without a lock is refused too.
    """
    if isinstance(evidence.inventory, Absent):
        return evidence.inventory
    if isinstance(evidence.lock, Absent):
        if evidence.lock.pending:
            return evidence.lock
        return (
            Violation(
                culprit="lock",
                key="lock",
                message=f"there is no lock to hold the image against: {evidence.lock.reason}",
                remedy="build and push it with mlbuild, which locks first",
            ),
        )
    origins = parameters.origins
    pinned = {one.name: one for one in evidence.lock.packages if one.sha256}
    differing = [
        package
        for package in evidence.inventory.packages
        if package.ecosystem is Ecosystem.PYPI and package.origin in origins
        if (one := pinned.get(package.name)) is None
        or one.version != package.version
        or (package.sha256 is not None and package.sha256 != one.sha256)
    ]
    return tuple(_violations(differing, evidence.lock)) if differing else ()


def _violations(packages: Sequence[Package], lock: Lock) -> Iterator[Violation]:
    """Of packages that are not word for word as in the lock, those that are not what it means either."""
    locked: dict[str, list[LockedPackage]] = defaultdict(list)
    for one in lock.packages:
        locked[normal_name(one.name)].append(one)
    for package in packages:
        complaint = _complaint(package, locked.get(normal_name(package.name), []))
        if complaint is not None:
            yield _violation(package, *complaint)


def _complaint(package: Package, locked: list[LockedPackage]) -> tuple[str, str] | None:
    """What is wrong with the package, and what to do."""
    if not locked:
        return "is not in the lock", RELOCK
    fitting = [one for one in locked if same(one.version, package.version, Ecosystem.PYPI)]
    if not fitting:
        versions = ", ".join(one.version for one in locked)
        return f"is locked as {versions}", "run `mlbuild build`, which installs what is locked"
    hashes = {one.sha256 for one in fitting if one.sha256}
    if not hashes:
        return "is locked without a sha256", "run `mlbuild lock`, which pins every artifact by hash"
    if package.sha256 is not None and package.sha256 not in hashes:
        return (
            "comes from another artifact than the locked one",
            "run `mlbuild build`, which installs what is locked",
        )
    return None


def _violation(package: Package, complaint: str, remedy: str) -> Violation:
    return Violation(
        culprit=package.purl,
        key=package.name,
        message=f"{package.name} {package.version} {complaint}",
        origin=package.origin,
        chain=package.chain,
        remedy=remedy,
    )


CHECK = Check(
    name="locked-packages",
    parameters=LockedPackagesParameters,
    run=run,
    waived_by=frozenset({Selector.PACKAGE}),
)
