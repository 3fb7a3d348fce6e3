"""Packages that nobody may use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.inventory import Ecosystem, Origin, Package
from compliance.policy.check import Check, PackageText, Parameters, Result, Selector, Some, kebab
from compliance.policy.decision import Violation
from compliance.policy.pattern import folded, package_pattern


def _is_specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"{text!r} is not a version specifier as <2.6 or >=1.0,!=1.4.2") from error
    return text


class Ban(BaseModel):
    """One banned package."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=False)

    package: PackageText = Field(description="A name or a purl; the version of a purl may hold wildcards.")
    versions: Annotated[str, AfterValidator(_is_specifier)] | None = Field(
        default=None, description="Which versions, as PEP 440 specifiers; left out, all."
    )
    instead: str | None = Field(default=None, description="What to use in its place.")

    @model_validator(mode="after")
    def _specifiers_are_for_python(self) -> Ban:
        if self.versions is not None and package_pattern(self.package).type not in (None, "pypi"):
            raise ValueError("versions are PEP 440 specifiers, for Python packages: give the version in the purl")
        return self


class BannedPackagesParameters(Parameters):
    """The packages, and whose count."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "packages": [
                        {"package": "pkg:pypi/pycrypto", "instead": "cryptography"},
                        {"package": "torch", "versions": "<2.6"},
                    ]
                }
            ]
        }
    )

    packages: Some[Ban] = Field(description="What may not be in an image.")
    origins: Some[Origin] = Field(default=tuple(Origin), description="Whose packages count.")


def run(
    parameters: BannedPackagesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses packages by name, and by version where versions are given.

    A version that cannot be compared counts as one of those that are banned.
    """
    if isinstance(evidence.inventory, Absent):
        return evidence.inventory
    return tuple(_violations(parameters, evidence.inventory.packages))


def _violations(parameters: BannedPackagesParameters, packages: tuple[Package, ...]) -> Iterator[Violation]:
    bans = [(package_pattern(ban.package), ban) for ban in parameters.packages]
    names, origins = {pattern.name for pattern, _ in bans}, parameters.origins
    for package in packages:
        if folded(package.name) not in names or package.origin not in origins:
            continue
        for pattern, ban in bans:
            if pattern.covers(package.purl) and _is_banned(package, ban):
                yield _violation(package, ban)
                break


def _is_banned(package: Package, ban: Ban) -> bool:
    if ban.versions is None:
        return True
    if package.ecosystem is not Ecosystem.PYPI:
        return False
    try:
        return SpecifierSet(ban.versions).contains(Version(package.version), prereleases=True)
    except InvalidVersion:
        return True


def _violation(package: Package, ban: Ban) -> Violation:
    versions = f" in versions {ban.versions}" if ban.versions else ""
    if ban.instead:
        remedy = f"use {ban.instead} instead"
    else:
        remedy = f"use another version of {package.name}" if ban.versions else f"do without {package.name}"
    if package.origin is Origin.BASE:
        remedy = "tell the base's owner, and move to a base without it"
    return Violation(
        culprit=package.purl,
        key=package.name,
        message=f"{package.name} {package.version} is banned{versions}",
        origin=package.origin,
        chain=package.chain,
        remedy=remedy,
    )


CHECK = Check(
    name="banned-packages",
    parameters=BannedPackagesParameters,
    run=run,
    waived_by=frozenset({Selector.PACKAGE}),
)
