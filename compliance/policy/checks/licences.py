"""The licences of packages."""

from __future__ import annotations

import difflib
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.inventory import Ecosystem, Origin, Package
from compliance.policy.check import Check, PackageText, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.licence import One, Standing, judge, parse_licence, spdx_ids
from compliance.policy.pattern import package_pattern


def _is_listed(text: str) -> str:
    if text in spdx_ids() or text.startswith("LicenseRef-"):
        return text
    near = difflib.get_close_matches(text, sorted(spdx_ids()), n=1)
    raise ValueError(f"{text!r} is not an SPDX id" + (f", did you mean {near[0]!r}?" if near else ""))


SpdxIds = Some[Annotated[str, AfterValidator(_is_listed)]]


class Unknown(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class LicencesParameters(Parameters):
    """Which licences are good. At least one of allow, deny and `unknown: deny` must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"deny": ["AGPL-3.0-only", "AGPL-3.0-or-later"], "unknown": "allow", "origins": ["app"]}]
        }
    )

    allow: SpdxIds | None = Field(default=None, description="The only SPDX ids that are allowed.")
    deny: SpdxIds | None = Field(default=None, description="SPDX ids that are not allowed.")
    exceptions: SpdxIds | None = Field(
        default=None, description="SPDX exceptions that make a licence acceptable whatever the lists say."
    )
    unknown: Unknown = Field(
        default=Unknown.DENY, description="What to do where the declared licence is missing or cannot be placed."
    )
    origins: Some[Origin] = Field(default=(Origin.DEPENDENCY, Origin.APP), description="Whose packages count.")
    ecosystems: Some[Ecosystem] = Field(
        default=tuple(Ecosystem), description="Which kinds of packages count: `pypi`, `deb`, `other`."
    )
    exempt: tuple[PackageText, ...] = Field(
        default=(), description="Packages, by name or purl, that this rule does not look at, such as your own."
    )

    @model_validator(mode="after")
    def _refuses_something(self) -> LicencesParameters:
        if self.allow is None and self.deny is None and self.unknown is Unknown.ALLOW:
            raise ValueError("refuses nothing: give allow, deny or `unknown: deny`")
        return self


def run(
    parameters: LicencesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses packages by licence, read as an SPDX expression.

    Of `MIT OR GPL-3.0-only` the better licence counts, of `MIT AND GPL-3.0-only` the worse. Usual texts
    that are no SPDX ids are understood: `BSD License`, `Apache 2.0`, trove classifiers.
    """
    if isinstance(evidence.inventory, Absent):
        return evidence.inventory
    exempt = [package_pattern(text) for text in parameters.exempt]
    complaints: dict[str | None, str | None] = {}
    for licence in {package.licence for package in evidence.inventory.packages}:
        complaints[licence] = _complaint(licence, parameters)
    return tuple(
        _violation(package, complaint)
        for package in evidence.inventory.packages
        if (complaint := complaints[package.licence]) is not None
        if package.origin in parameters.origins and package.ecosystem in parameters.ecosystems
        if not any(pattern.covers(package.purl) for pattern in exempt)
    )


def _complaint(licence: str | None, parameters: LicencesParameters) -> str | None:
    standing = judge(parse_licence(licence), lambda one: _standing(one, parameters))
    if standing is Standing.REFUSED:
        return f"is under {_short(licence)}, which is not allowed"
    if standing is Standing.UNKNOWN and parameters.unknown is Unknown.DENY:
        return f"declares {_short(licence)}, which names no known licence"
    return None


def _standing(one: One, parameters: LicencesParameters) -> Standing:
    if one.exception is not None and one.exception in (parameters.exceptions or ()):
        return Standing.ACCEPTED
    if one.id in (parameters.deny or ()):
        return Standing.REFUSED
    if parameters.allow is not None and one.id not in parameters.allow:
        return Standing.REFUSED
    listed = one.id in spdx_ids() or one.id in (parameters.allow or ())
    return Standing.ACCEPTED if listed else Standing.UNKNOWN


def _short(declared: str | None) -> str:
    if not (declared or "").strip():
        return "no licence"
    text = " ".join((declared or "").split())
    return text if len(text) <= 60 else text[:59] + "…"


def _violation(package: Package, complaint: str) -> Violation:
    return Violation(
        culprit=package.purl,
        key=package.name,
        message=f"{package.name} {package.version} {complaint}",
        origin=package.origin,
        chain=package.chain,
        remedy=f"replace {package.name}, or ask for a waiver",
    )


CHECK = Check(name="licences", parameters=LicencesParameters, run=run, waived_by=frozenset({Selector.PACKAGE}))
