"""Packages of the lock, and what the image has under the same name."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from packaging.utils import NormalizedName, canonicalize_name

from compliance.evidence import Evidence, LockedPackage
from compliance.inventory import Ecosystem, Inventory, Origin, Package
from compliance.policy.decision import Violation


@functools.lru_cache(maxsize=1 << 16)
def normal_name(name: str) -> NormalizedName:
    """A Python package's name as indexes compare it."""
    return canonicalize_name(name)


def locked_purl(name: str, version: str) -> str:
    """The purl of a package that the lock names."""
    return f"pkg:pypi/{normal_name(name)}@{version}"


def installed_packages(evidence: Evidence) -> Mapping[str, Package]:
    """The image's Python packages by normalised name; none where the inventory is not known."""
    packages = evidence.inventory.packages if isinstance(evidence.inventory, Inventory) else ()
    return {normal_name(one.name): one for one in reversed(packages) if one.ecosystem is Ecosystem.PYPI}


def locked_violation(
    package: LockedPackage, installed: Mapping[str, Package], complaint: str, remedy: str
) -> Violation:
    """What is wrong with a locked package, with the way it came where the image tells."""
    found = installed.get(normal_name(package.name))
    return Violation(
        culprit=locked_purl(package.name, package.version),
        key=package.name,
        message=f"{package.name} {package.version} {complaint}",
        origin=found.origin if found is not None else Origin.DEPENDENCY,
        chain=found.chain if found is not None else (),
        remedy=remedy,
    )
