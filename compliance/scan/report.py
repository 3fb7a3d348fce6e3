"""Trivy's JSON report (schema version 2): the members that are used, and what they mean here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Literal

from packageurl import PackageURL
from packaging.utils import canonicalize_name
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from compliance.bases import debian_purl
from compliance.evidence import Secret, Severity
from compliance.inventory import Ecosystem, OperatingSystem, Origin, Package
from compliance.oci.digest import Digest

OriginOf = Callable[[Digest | None, str], Origin]
"""Who brought a path (absolute, in the image) that came with a layer (its diffID; None for the image config)."""

IMAGE_CONFIG: Final = "image config"
"""The path of what was found in the image's config rather than in a file."""

DPKG_DATABASE: Final = "/var/lib/dpkg/status"

Rating = Annotated[
    Severity, BeforeValidator(lambda value: Severity(value.lower()) if isinstance(value, str) else value)
]


class _Reported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ReportedLayer(_Reported):
    diff_id: Digest | None = Field(default=None, alias="DiffID")


class Identifier(_Reported):
    purl: str | None = Field(default=None, alias="PURL")
    bom_ref: str | None = Field(default=None, alias="BOMRef")


class ReportedScore(_Reported):
    v3: float | None = Field(default=None, alias="V3Score", ge=0, le=10)
    v4: float | None = Field(default=None, alias="V40Score", ge=0, le=10)


class ReportedVulnerability(_Reported):
    id: str = Field(alias="VulnerabilityID")
    vendor_ids: tuple[str, ...] = Field(default=(), alias="VendorIDs")
    package: str = Field(alias="PkgName")
    identifier: Identifier = Field(default=Identifier(), alias="PkgIdentifier")
    installed: str = Field(alias="InstalledVersion")
    fixed: str = Field(default="", alias="FixedVersion")
    severity: Rating = Field(alias="Severity")
    title: str = Field(default="", alias="Title")
    description: str = Field(default="", alias="Description")
    url: str | None = Field(default=None, alias="PrimaryURL")
    references: tuple[str, ...] = Field(default=(), alias="References")
    published: AwareDatetime | None = Field(default=None, alias="PublishedDate")
    scores: dict[str, ReportedScore] = Field(default={}, alias="CVSS")

    @property
    def cvss(self) -> float | None:
        """The highest base score that a source gives, of CVSS 3 and 4."""
        scores = [score for one in self.scores.values() for score in (one.v3, one.v4) if score]
        return max(scores, default=None)


class ReportedPackage(_Reported):
    name: str = Field(alias="Name")
    version: str = Field(default="", alias="Version")
    release: str = Field(default="", alias="Release")
    epoch: int = Field(default=0, alias="Epoch")
    architecture: str | None = Field(default=None, alias="Arch")
    source_name: str | None = Field(default=None, alias="SrcName")
    source_version: str = Field(default="", alias="SrcVersion")
    source_release: str = Field(default="", alias="SrcRelease")
    source_epoch: int = Field(default=0, alias="SrcEpoch")
    licences: tuple[str, ...] = Field(default=(), alias="Licenses")
    layer: ReportedLayer = Field(default=ReportedLayer(), alias="Layer")
    path: str = Field(default="", alias="FilePath")
    analyzed_by: str = Field(default="", alias="AnalyzedBy")
    identifier: Identifier = Field(default=Identifier(), alias="Identifier")


class ReportedSecret(_Reported):
    rule: str = Field(alias="RuleID")
    title: str = Field(alias="Title")
    severity: Rating = Field(alias="Severity")
    line: int = Field(alias="StartLine")
    match: str = Field(alias="Match")
    layer: ReportedLayer = Field(default=ReportedLayer(), alias="Layer")


class Result(_Reported):
    target: str = Field(alias="Target")
    kind: str = Field(default="", alias="Class")
    type: str = Field(default="", alias="Type")
    packages: tuple[ReportedPackage, ...] = Field(default=(), alias="Packages")
    vulnerabilities: tuple[ReportedVulnerability, ...] = Field(default=(), alias="Vulnerabilities")
    secrets: tuple[ReportedSecret, ...] = Field(default=(), alias="Secrets")


class ReportedSystem(_Reported):
    family: str = Field(alias="Family")
    name: str = Field(default="", alias="Name")


class Metadata(_Reported):
    system: ReportedSystem | None = Field(default=None, alias="OS")


class Report(_Reported):
    schema_version: Literal[2] = Field(alias="SchemaVersion")
    artifact: str = Field(default="", alias="ArtifactName")
    metadata: Metadata = Field(default=Metadata(), alias="Metadata")
    results: tuple[Result, ...] = Field(default=(), alias="Results")


def operating_system(report: Report) -> OperatingSystem | None:
    """The system as os-release has it: of Debian the major version, without the point release."""
    found = report.metadata.system
    if found is None or not found.family:
        return None
    version = found.name.partition(".")[0] if found.family == "debian" else found.name
    return OperatingSystem(found.family, version)


def packages(report: Report, origin_of: OriginOf) -> tuple[Package, ...]:
    """Every installed package in the report, each once a layer, sorted by purl and layer.

    Packages that only an SBOM file inside the image speaks of are left out: it describes what was built
    into something else, or anything at all.
    """
    system = operating_system(report)
    found = {
        _package(item, result, system, origin_of): None
        for result in report.results
        for item in result.packages
        if item.analyzed_by != "sbom"
    }
    return tuple(sorted(found, key=lambda package: (package.purl, package.layer or "")))


def _package(
    item: ReportedPackage, result: Result, system: OperatingSystem | None, origin_of: OriginOf
) -> Package:
    layer = item.layer.diff_id
    ecosystem = Ecosystem.OTHER
    name, version = item.name, _full_version(item.epoch, item.version, item.release)
    purl = item.identifier.purl or PackageURL("generic", None, name, version or None).to_string()
    if result.type == "python-pkg":
        ecosystem = Ecosystem.PYPI
        name = canonicalize_name(item.name)
        purl = PackageURL("pypi", None, name, version).to_string()
    elif result.kind == "os-pkgs" and result.type == "debian" and system is not None:
        ecosystem = Ecosystem.DEBIAN
        purl = debian_purl(name, version, item.architecture or "all", system)
    path = item.path or (DPKG_DATABASE if ecosystem is Ecosystem.DEBIAN else result.target)
    return Package(
        purl=purl,
        name=name,
        version=version,
        ecosystem=ecosystem,
        origin=origin_of(layer, absolute(path)),
        layer=layer,
        licence=" AND ".join(item.licences) or None,
        source_name=item.source_name or None,
        source_version=_full_version(item.source_epoch, item.source_version, item.source_release) or None,
        architecture=item.architecture,
    )


def _full_version(epoch: int, version: str, release: str) -> str:
    """A version in Debian's form, `epoch:version-release`, from its parts."""
    text = f"{version}-{release}" if release else version
    return f"{epoch}:{text}" if epoch else text


def secrets(report: Report, origin_of: OriginOf, *, of_image: bool) -> tuple[Secret, ...]:
    """Every secret in the report, sorted by path and line."""
    found = {
        Secret(
            path=(path := _secret_path(result, report, of_image=of_image)),
            line=item.line,
            rule=item.rule,
            title=item.title,
            severity=item.severity,
            origin=origin_of(item.layer.diff_id, path),
            match=item.match.strip(),
            layer=item.layer.diff_id,
        ): None
        for result in report.results
        for item in result.secrets
    }
    return tuple(sorted(found, key=lambda secret: (secret.path, secret.line, secret.rule, secret.layer or "")))


def _secret_path(result: Result, report: Report, *, of_image: bool) -> str:
    if not of_image:
        return result.target
    return IMAGE_CONFIG if result.target == report.artifact else absolute(result.target)


def absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def published_at(item: ReportedVulnerability) -> datetime | None:
    """When it became public; Trivy writes the year 1 where it does not know."""
    return item.published if item.published is not None and item.published.year > 1 else None
