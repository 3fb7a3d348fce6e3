"""Policy tests as security engineers write them: what differs from a good image, and what should come of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compliance.evidence import (
    Absent,
    Database,
    Evidence,
    Lock,
    LockedPackage,
    Provenance,
    Sbom,
    Secret,
    Severity,
    Subject,
    Vulnerability,
    VulnerabilityScan,
)
from compliance.inventory import (
    Base,
    Ecosystem,
    Inventory,
    ModelFile,
    OperatingSystem,
    Origin,
    Package,
    Settings,
)
from compliance.oci.digest import Digest
from compliance.policy.check import Flag, kebab
from compliance.policy.decision import Status, Verdict
from compliance.policy.files import Day, Name

SHA256: Final = "5e" * 32
BUILDER: Final = "urn:mlbuild:builder:local"
TODAY: Final = date(2026, 11, 22)

Part = Literal[
    "base",
    "inventory",
    "settings",
    "lock",
    "vulnerabilities",
    "secrets",
    "models",
    "sbom",
    "provenance",
]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=False)


class PackageEntry(_Entry):
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


class LockedEntry(_Entry):
    """A package in the lock."""

    name: str
    version: str
    sha256: str | None = SHA256
    url: str | None = "https://files.pythonhosted.org/packages/a.whl"
    index: str | None = "https://pypi.org/simple"

    def locked(self) -> LockedPackage:
        return LockedPackage(self.name, self.version, self.sha256, self.url, self.index)


class VulnerabilityEntry(_Entry):
    """A vulnerability of one of the case's packages, by name."""

    id: str
    package: str
    severity: Severity
    fixed: tuple[str, ...] = ()
    published: Day | None = None
    aliases: tuple[str, ...] = ()
    title: str = "something bad can happen"


class SecretEntry(_Entry):
    """A credential in a file."""

    path: str
    line: int = 1
    title: str = "AWS access key"
    severity: Severity = Severity.CRITICAL
    origin: Origin = Origin.APP


class ModelEntry(_Entry):
    """A model file. `unsafe` says why loading it may run code."""

    path: str
    format: str
    unsafe: str | None = None
    origin: Origin = Origin.APP


class BaseEntry(_Entry):
    """The base image."""

    name: str = "python3.11-slim"
    owner: str = "platform@example.com"
    end_of_life: Day = date(2027, 10, 31)


class SbomEntry(_Entry):
    """The SBOM that came with the image, and the purls on which it and the image disagree."""

    components: int = 2
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


class ProvenanceEntry(_Entry):
    """The verified provenance."""

    builder: str = BUILDER
    key: str = "builder"
    same_lock: Flag = True
    same_base: Flag = True


GOOD_PACKAGES: Final = (
    PackageEntry(name="fastapi", version="0.115.0"),
    PackageEntry(name="starlette", version="0.38.6", licence="BSD-3-Clause", via=("fastapi",)),
    PackageEntry(name="libssl3", version="3.0.15-1", ecosystem=Ecosystem.DEBIAN, licence=None),
)


class Given(_Entry):
    """How the image differs from one that keeps every rule."""

    packages: tuple[PackageEntry, ...] = GOOD_PACKAGES
    lock: tuple[LockedEntry, ...] | None = Field(
        default=None, description="Left out: the image's Python packages."
    )
    vulnerabilities: tuple[VulnerabilityEntry, ...] = ()
    databases: dict[str, Day] | None = Field(default=None, description="Name and date; left out: trivy, of today.")
    secrets: tuple[SecretEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    user: str = "65532:65532"
    base: BaseEntry = BaseEntry()
    sbom: SbomEntry = SbomEntry()
    provenance: ProvenanceEntry = ProvenanceEntry()
    absent: dict[Part, str] = Field(default={}, description="Parts that could not be had, and why.")
    pending: tuple[Part, ...] = Field(default=(), description="Parts that only the built image will show.")

    @model_validator(mode="after")
    def _vulnerable_packages_are_there(self) -> Given:
        names = {package.name for package in self.packages}
        for one in self.vulnerabilities:
            if one.package not in names:
                raise ValueError(f"{one.id} is in {one.package!r}, which is not among the packages")
        return self

    def evidence(self, subject: Subject, at: datetime) -> Evidence:
        """The evidence this describes."""
        base_digest, lock_digest, other = Digest.of(b"base"), Digest.of(b"lock"), Digest.of(b"other")
        packages = tuple(entry.package() for entry in self.packages)
        made = self.provenance
        parts: dict[str, Any] = {
            "base": Base(self.base.name, base_digest, (), self.base.owner, _midnight(self.base.end_of_life)),
            "inventory": Inventory(OperatingSystem("debian", "12"), packages),
            "settings": Settings(self.user, (), ("python",), (), (), (), "/app"),
            "lock": Lock(lock_digest, self._locked()),
            "vulnerabilities": self._scan(at),
            "secrets": tuple(
                Secret(one.path, one.line, "made-up", one.title, one.severity, one.origin, "****")
                for one in self.secrets
            ),
            "models": tuple(
                ModelFile(one.path, one.format, one.origin, SHA256, 1, unsafe=one.unsafe) for one in self.models
            ),
            "sbom": Sbom(
                Digest.of(b"sbom"), "CycloneDX 1.6", self.sbom.components, self.sbom.missing, self.sbom.extra
            ),
            "provenance": Provenance(
                made.builder,
                made.key,
                lock_digest if made.same_lock else other,
                base_digest if made.same_base else other,
            ),
        }
        parts |= {part: Absent(reason) for part, reason in self.absent.items()}
        parts |= {part: Absent("known once the image is built", pending=True) for part in self.pending}
        return Evidence(subject=subject, **parts)

    def _locked(self) -> tuple[LockedPackage, ...]:
        if self.lock is not None:
            return tuple(entry.locked() for entry in self.lock)
        python = (one for one in self.packages if one.ecosystem is Ecosystem.PYPI)
        return tuple(LockedEntry(name=one.name, version=one.version).locked() for one in python)

    def _scan(self, at: datetime) -> VulnerabilityScan:
        packages = {entry.name: entry for entry in self.packages}
        dates = {"trivy": at.date()} if self.databases is None else self.databases
        return VulnerabilityScan(
            vulnerabilities=tuple(
                Vulnerability(
                    id=one.id,
                    purl=packages[one.package].purl,
                    package=one.package,
                    installed=packages[one.package].version,
                    fixed=one.fixed,
                    severity=one.severity,
                    title=one.title,
                    database="trivy",
                    aliases=one.aliases,
                    published=_midnight(one.published) if one.published else None,
                )
                for one in self.vulnerabilities
            ),
            databases=tuple(
                Database(name, Digest.of(name.encode()), _midnight(day)) for name, day in dates.items()
            ),
        )


class SubjectEntry(_Entry):
    """What is judged. A lock is a subject that is not built yet."""

    repository: str = "team/app"
    stage: Name | None = None
    built: Flag = True

    def subject(self) -> Subject:
        return Subject(self.repository, self.stage, Digest.of(b"image") if self.built else None)


class Expect(_Entry):
    """What should come of it. At least one of verdict and rules."""

    verdict: Verdict | None = None
    rules: dict[Name, Status] = Field(default={}, description="Rule ids, and what each should say.")
    says: dict[Name, str] = Field(default={}, description="Rule ids, and words that message or remedy hold.")

    @model_validator(mode="after")
    def _expects_something(self) -> Expect:
        if self.verdict is None and not self.rules and not self.says:
            raise ValueError("expects nothing: give verdict or rules")
        return self


class Case(_Entry):
    """One policy test."""

    name: str
    at: Day = TODAY
    subject: SubjectEntry = SubjectEntry()
    given: Given = Given()
    expect: Expect

    def moment(self) -> datetime:
        return _midnight(self.at)


class CaseFile(_Entry):
    """A file of policies/tests/."""

    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
