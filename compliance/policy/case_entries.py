"""The parts of an image as policy tests describe them: what is left out is as in a good image."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from compliance.evidence import BuildStep, BuiltSdist, LockedPackage, Secret, Severity, Vulnerability
from compliance.inventory import Ecosystem, Layer, ModelFile, Origin, Package, Privilege, PrivilegedFile
from compliance.oci.digest import Digest
from compliance.policy.check import Flag, kebab
from compliance.policy.file_models import Day

SHA256: Final = "5e" * 32
BUILDER: Final = "urn:mlbuild:builder:local"


def midnight(day: date) -> datetime:
    """The start of a day in UTC."""
    return datetime.combine(day, time(), UTC)


class Entry(BaseModel):
    """A part of a policy test file."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=False)


class PackageEntry(Entry):
    """A package in the image. Debian packages come with the base unless said otherwise."""

    name: str
    version: str
    ecosystem: Ecosystem = Ecosystem.PYPI
    origin: Origin | None = None
    licence: str | None = "MIT"
    sha256: str | None = SHA256
    via: tuple[str, ...] = Field(default=(), description="The requirements that lead to it, the user's first.")

    @property
    def purl(self) -> str:
        space = "debian/" if self.ecosystem is Ecosystem.DEBIAN else ""
        return f"pkg:{self.ecosystem}/{space}{self.name}@{self.version}"

    def package(self) -> Package:
        usual = Origin.DEPENDENCY if self.ecosystem is Ecosystem.PYPI else Origin.BASE
        return Package(
            purl=self.purl,
            name=self.name,
            version=self.version,
            ecosystem=self.ecosystem,
            origin=self.origin or usual,
            licence=self.licence,
            sha256=self.sha256,
            chain=(*self.via, self.name) if self.ecosystem is Ecosystem.PYPI else (),
        )


class LockedEntry(Entry):
    """A package in the lock."""

    name: str
    version: str
    sha256: str | None = SHA256
    url: str | None = "https://files.pythonhosted.org/packages/a.whl"
    index: str | None = "https://pypi.org/simple"
    released: Day | None = date(2026, 1, 15)
    yanked: Flag | None = False

    def locked(self) -> LockedPackage:
        uploaded = midnight(self.released) if self.released else None
        return LockedPackage(self.name, self.version, self.sha256, self.url, self.index, uploaded, self.yanked)


class VulnerabilityEntry(Entry):
    """A vulnerability of one of the case's packages, by name."""

    id: str
    package: str
    severity: Severity
    fixed: tuple[str, ...] = ()
    published: Day | None = None
    aliases: tuple[str, ...] = ()
    title: str = "something bad can happen"
    cvss: float | None = None
    epss: float | None = None
    exploited: Flag | None = None
    first_seen: Day | None = None

    def found_in(self, package: PackageEntry) -> Vulnerability:
        return Vulnerability(
            id=self.id,
            purl=package.purl,
            package=self.package,
            installed=package.version,
            fixed=self.fixed,
            severity=self.severity,
            title=self.title,
            database="trivy",
            aliases=self.aliases,
            published=midnight(self.published) if self.published else None,
            cvss=self.cvss,
            epss=self.epss,
            known_exploited=self.exploited,
            first_seen=midnight(self.first_seen) if self.first_seen else None,
        )


class SecretEntry(Entry):
    """A credential in a file."""

    path: str
    line: int = 1
    title: str = "AWS access key"
    severity: Severity = Severity.CRITICAL
    origin: Origin = Origin.APP

    def secret(self) -> Secret:
        return Secret(self.path, self.line, "made-up", self.title, self.severity, self.origin, "****")


class ModelEntry(Entry):
    """A model file. `unsafe` says why loading it may run code."""

    path: str
    format: str
    unsafe: str | None = None
    origin: Origin = Origin.APP

    def model(self) -> ModelFile:
        return ModelFile(self.path, self.format, self.origin, SHA256, 1, unsafe=self.unsafe)


class BaseEntry(Entry):
    """The base image."""

    name: str = "python3.11-slim"
    owner: str = "platform@example.com"
    end_of_life: Day = date(2027, 10, 31)
    created: Day | None = date(2026, 11, 1)


class SbomEntry(Entry):
    """The SBOM that came with the image, and the purls on which it and the image disagree."""

    components: int = 2
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    key: str | None = "builder"


class ProvenanceEntry(Entry):
    """The verified provenance."""

    builder: str = BUILDER
    key: str = "builder"
    same_lock: Flag = True
    same_base: Flag = True


class SettingsEntry(Entry):
    """What the image config makes a runtime do, its user aside. Environment entries are `NAME=value`."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ("python",)
    environment: tuple[str, ...] = ()
    ports: tuple[str, ...] = Field(default=(), description="As the image config has them: 8080/tcp.")
    labels: dict[str, str] = {}


class LayerEntry(Entry):
    """One layer of the image."""

    megabytes: int = 10
    origin: Origin = Origin.DEPENDENCY

    def layer(self, place: int) -> Layer:
        digest = Digest.of(f"layer {place}".encode())
        return Layer(digest, digest, self.megabytes * 1_000_000, self.origin)


class PrivilegedEntry(Entry):
    """A file that runs with other rights than its caller's."""

    path: str
    privileges: tuple[Privilege, ...] = (Privilege.SETUID,)
    origin: Origin = Origin.APP

    def file(self) -> PrivilegedFile:
        return PrivilegedFile(self.path, self.privileges, self.origin)


class StepEntry(Entry):
    """A command that ran while the image was built."""

    command: str
    network: Flag = False

    def step(self) -> BuildStep:
        return BuildStep(self.command, self.network)


class SdistEntry(Entry):
    """A package that was built from source."""

    name: str
    version: str
    network: Flag = False

    def sdist(self) -> BuiltSdist:
        return BuiltSdist(self.name, self.version, SHA256, self.network)
