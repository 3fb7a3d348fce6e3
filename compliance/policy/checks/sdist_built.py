"""Packages that were compiled instead of taken as wheels."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, PackageText, Parameters, Result, Selector
from compliance.policy.decision import Violation
from compliance.policy.locked import installed_packages, locked_purl, normal_name
from compliance.policy.pattern import package_pattern


class SdistBuiltParameters(Parameters):
    """Which may be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow": ["our-kernels"]}]})

    allow: tuple[PackageText, ...] = Field(
        default=(), description="Packages, by name or purl, that may be built from source."
    )


def run(parameters: SdistBuiltParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses packages that were built from a source distribution, by the word of the image's provenance.

    Building one runs its author's code on the machine that builds, and gives other bytes each time.
    """
    if isinstance(evidence.build, Absent):
        return evidence.build
    if not evidence.build.sdists:
        return ()
    allowed = [package_pattern(text) for text in parameters.allow]
    installed = installed_packages(evidence)
    return tuple(
        Violation(
            culprit=locked_purl(one.name, one.version),
            key=one.name,
            message=f"{one.name} {one.version} was built from source",
            origin=Origin.DEPENDENCY,
            chain=installed[name].chain if (name := normal_name(one.name)) in installed else (),
            remedy=f"use a version of {one.name} that has a wheel, or publish one on an index of your own",
        )
        for one in evidence.build.sdists
        if not any(pattern.covers(locked_purl(one.name, one.version)) for pattern in allowed)
    )


CHECK = Check(
    name="sdist-built", parameters=SdistBuiltParameters, run=run, waived_by=frozenset({Selector.PACKAGE})
)
