"""OSV advisory files (https://ossf.github.io/osv-schema/, version 1) for PyPI and Debian packages.

A file as osv.dev serves it is accepted as it is, as long as every package in it is of those two ecosystems.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from debian.debian_support import NativeVersion
from packaging.version import InvalidVersion, Version
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from compliance.evidence import Severity
from compliance.scan.cvss import base_score, rating

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]*")
_ECOSYSTEM: Final = re.compile(r"PyPI|Debian:(?P<release>[0-9]+)")
_LABELS: Final = {
    "LOW": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "HIGH": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}


def _timestamp(value: object) -> object:
    if not isinstance(value, str) or "T" not in value:
        raise ValueError("write a time such as 2024-01-19T21:30:35Z")
    return datetime.fromisoformat(value)


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"{value!r} is not an identifier such as GHSA-3f63-hfp8-52jq or CVE-2023-50447")
    return value


Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp)]
Identifier = Annotated[str, BeforeValidator(_identifier)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RangeType(StrEnum):
    ECOSYSTEM = "ECOSYSTEM"
    SEMVER = "SEMVER"
    GIT = "GIT"


class Event(_File):
    """One point on the line of versions: exactly one of the three is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Event:
        if len(self.model_fields_set) != 1 or self.version == "":
            raise ValueError("an event has exactly one of introduced, fixed and last_affected, with a version")
        return self

    @property
    def version(self) -> str:
        return self.introduced or self.fixed or self.last_affected or ""


class Range(_File):
    type: Annotated[RangeType, Field(strict=False)]
    events: Annotated[list[Event], Field(min_length=1)]
    repo: str | None = None
    database_specific: dict[str, Any] | None = None


class AffectedPackage(_File):
    ecosystem: str
    name: Annotated[str, Field(min_length=1)]
    purl: str | None = None

    @model_validator(mode="after")
    def _known(self) -> AffectedPackage:
        if not _ECOSYSTEM.fullmatch(self.ecosystem):
            hint = "name the release, such as Debian:12" if self.ecosystem == "Debian" else "leave the package out"
            raise ValueError(
                f"the ecosystem {self.ecosystem!r} is not matched here (PyPI and Debian:<release> are): {hint}"
            )
        return self

    @property
    def debian_release(self) -> str | None:
        """The major release, such as `12`, of a Debian source package; None for PyPI."""
        found = _ECOSYSTEM.fullmatch(self.ecosystem)
        return found["release"] if found else None


class SeverityScore(_File):
    type: Literal["CVSS_V2", "CVSS_V3", "CVSS_V4"]
    score: str

    @model_validator(mode="after")
    def _vector(self) -> SeverityScore:
        if self.type == "CVSS_V3":
            base_score(self.score)
        return self


class Affected(_File):
    package: AffectedPackage
    ranges: list[Range] = Field(default_factory=list)
    versions: list[str] = Field(default_factory=list)
    severity: list[SeverityScore] = Field(default_factory=list)
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None

    @property
    def version_ranges(self) -> tuple[Range, ...]:
        """The ranges over versions; ranges over Git commits say nothing about a released package."""
        return tuple(item for item in self.ranges if item.type is not RangeType.GIT)

    @model_validator(mode="after")
    def _versions(self) -> Affected:
        if not self.version_ranges and not self.versions:
            raise ValueError(f"{self.package.name}: neither a range of versions nor a list of versions")
        if self.package.debian_release is None:
            for version in [
                *self.versions,
                *(event.version for item in self.version_ranges for event in item.events),
            ]:
                _python_version(version)
        else:
            self._check_debian()
        return self

    def _check_debian(self) -> None:
        """Trivy knows a Debian package as fixed from one version on, or not fixed at all."""
        events = [event for item in self.version_ranges for event in item.events]
        fixed = [event.fixed for event in events if event.fixed is not None]
        others = [event for event in events if event.fixed is None and event.introduced != "0"]
        if others or len(fixed) > 1 or not events:
            raise ValueError(
                f"{self.package.name}: for Debian write one range, from introduced 0 to at most one fixed version"
            )
        for version in fixed:
            NativeVersion(version)


class DatabaseSpecific(BaseModel):
    """What a database adds of its own. Only the rating is read."""

    model_config = ConfigDict(frozen=True, extra="allow")

    severity: Literal["LOW", "MODERATE", "MEDIUM", "HIGH", "CRITICAL", None] = None


class Reference(_File):
    type: str
    url: Annotated[str, Field(pattern=r"^https?://")]


class Credit(_File):
    name: str
    contact: list[str] | None = None
    type: str | None = None


class OsvFile(_File):
    """One advisory file."""

    schema_version: str | None = None
    id: Identifier
    modified: Timestamp
    published: Timestamp | None = None
    withdrawn: Timestamp | None = None
    aliases: list[Identifier] = Field(default_factory=list)
    related: list[Identifier] = Field(default_factory=list)
    upstream: list[Identifier] = Field(default_factory=list)
    summary: str | None = None
    details: str | None = None
    severity: list[SeverityScore] = Field(default_factory=list)
    affected: Annotated[list[Affected], Field(min_length=1)]
    references: list[Reference] = Field(default_factory=list)
    credits: list[Credit] = Field(default_factory=list)
    database_specific: DatabaseSpecific | None = None

    @model_validator(mode="after")
    def _complete(self) -> OsvFile:
        if not (self.summary or self.details):
            raise ValueError("has neither summary nor details: say in one sentence what can happen")
        names = [(item.package.debian_release, item.package.name) for item in self.affected]
        twice = next((name for release, name in names if release and names.count((release, name)) > 1), None)
        if twice is not None:
            raise ValueError(f"the Debian package {twice} stands twice: write one range for each release")
        if self.rating is None:
            raise ValueError(
                "no severity can be told: give a CVSS_V3 vector under severity, "
                "or LOW, MODERATE, HIGH or CRITICAL as database_specific.severity"
            )
        return self

    @property
    def cvss(self) -> tuple[str, float] | None:
        """The CVSS v3 vector with the highest base score, and that score."""
        per_package = [score for item in self.affected for score in item.severity]
        found = [item.score for item in [*self.severity, *per_package] if item.type == "CVSS_V3"]
        best = max(found, key=base_score, default=None)
        return None if best is None else (best, base_score(best))

    @property
    def rating(self) -> Severity | None:
        """The database's own rating, else that of the highest CVSS v3 score."""
        label = self.database_specific.severity if self.database_specific else None
        if label is not None:
            return _LABELS[label]
        return rating(self.cvss[1]) if self.cvss is not None else None


def _python_version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{text!r} is not a version by PEP 440") from error
