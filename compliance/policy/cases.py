"""Policy tests as security engineers write them: what differs from a good image, and what should come of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from compliance.evidence import (
    Absent,
    Build,
    Database,
    Evidence,
    Lock,
    LockedPackage,
    Provenance,
    Sbom,
    Subject,
    VulnerabilityScan,
)
from compliance.inventory import Base, Ecosystem, Inventory, OperatingSystem, Origin, Settings
from compliance.oci.digest import Digest
from compliance.policy.case_entries import (
    BaseEntry,
    Entry,
    LayerEntry,
    LockedEntry,
    ModelEntry,
    PackageEntry,
    PrivilegedEntry,
    ProvenanceEntry,
    SbomEntry,
    SdistEntry,
    SecretEntry,
    SettingsEntry,
    StepEntry,
    VulnerabilityEntry,
    midnight,
)
from compliance.policy.check import Flag
from compliance.policy.decision import Status, Verdict
from compliance.policy.file_models import Day, Name

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
    "layers",
    "privileged",
    "build",
]


GOOD_PACKAGES: Final = (
    PackageEntry(name="fastapi", version="0.115.0"),
    PackageEntry(name="starlette", version="0.38.6", licence="BSD-3-Clause", via=("fastapi",)),
    PackageEntry(name="libssl3", version="3.0.15-1", ecosystem=Ecosystem.DEBIAN, licence=None),
)


class Given(Entry):
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
    settings: SettingsEntry = SettingsEntry()
    layers: tuple[LayerEntry, ...] = (LayerEntry(origin=Origin.BASE), LayerEntry())
    privileged: tuple[PrivilegedEntry, ...] = ()
    steps: tuple[StepEntry, ...] = ()
    sdists: tuple[SdistEntry, ...] = ()
    base: BaseEntry = BaseEntry()
    sbom: SbomEntry = SbomEntry()
    provenance: ProvenanceEntry = ProvenanceEntry()
    artifact: str | None = Field(default=None, description="Not an image at all, but an artifact of this type.")
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
            "base": Base(
                self.base.name,
                base_digest,
                (),
                self.base.owner,
                midnight(self.base.end_of_life),
                midnight(self.base.created) if self.base.created else None,
            ),
            "inventory": Inventory(OperatingSystem("debian", "12"), packages),
            "settings": self._settings(),
            "lock": Lock(lock_digest, self._locked()),
            "vulnerabilities": self._scan(at),
            "secrets": tuple(one.secret() for one in self.secrets),
            "models": tuple(one.model() for one in self.models),
            "sbom": Sbom(
                Digest.of(b"sbom"),
                "CycloneDX 1.6",
                self.sbom.components,
                self.sbom.missing,
                self.sbom.extra,
                self.sbom.key,
            ),
            "provenance": Provenance(
                made.builder,
                made.key,
                lock_digest if made.same_lock else other,
                base_digest if made.same_base else other,
            ),
            "layers": tuple(one.layer(place) for place, one in enumerate(self.layers)),
            "privileged": tuple(one.file() for one in self.privileged),
            "build": Build(tuple(one.step() for one in self.steps), tuple(one.sdist() for one in self.sdists)),
        }
        parts |= {part: Absent(reason) for part, reason in self.absent.items()}
        parts |= {part: Absent("known once the image is built", pending=True) for part in self.pending}
        return Evidence(subject=subject, artifact=self.artifact, **parts)

    def _settings(self) -> Settings:
        given = self.settings
        return Settings(
            user=self.user,
            entrypoint=given.entrypoint,
            command=given.command,
            environment=given.environment,
            exposed_ports=given.ports,
            labels=tuple(sorted(given.labels.items())),
            working_dir="/app",
        )

    def _locked(self) -> tuple[LockedPackage, ...]:
        if self.lock is not None:
            return tuple(entry.locked() for entry in self.lock)
        python = (one for one in self.packages if one.ecosystem is Ecosystem.PYPI)
        return tuple(LockedEntry(name=one.name, version=one.version).locked() for one in python)

    def _scan(self, at: datetime) -> VulnerabilityScan:
        packages = {entry.name: entry for entry in self.packages}
        dates = {"trivy": at.date()} if self.databases is None else self.databases
        return VulnerabilityScan(
            vulnerabilities=tuple(one.found_in(packages[one.package]) for one in self.vulnerabilities),
            databases=tuple(
                Database(name, Digest.of(name.encode()), midnight(day)) for name, day in dates.items()
            ),
        )


class SubjectEntry(Entry):
    """What is judged. A lock is a subject that is not built yet."""

    repository: str = "team/app"
    stage: Name | None = None
    built: Flag = True

    def subject(self) -> Subject:
        return Subject(self.repository, self.stage, Digest.of(b"image") if self.built else None)


class Expect(Entry):
    """What should come of it. At least one of verdict and rules."""

    verdict: Verdict | None = None
    rules: dict[Name, Status] = Field(default={}, description="Rule ids, and what each should say.")
    says: dict[Name, str] = Field(default={}, description="Rule ids, and words that message or remedy hold.")

    @model_validator(mode="after")
    def _expects_something(self) -> Expect:
        if self.verdict is None and not self.rules and not self.says:
            raise ValueError("expects nothing: give verdict or rules")
        return self


class Case(Entry):
    """One policy test."""

    name: str
    at: Day = TODAY
    subject: SubjectEntry = SubjectEntry()
    given: Given = Given()
    expect: Expect

    def moment(self) -> datetime:
        return midnight(self.at)


class CaseFile(Entry):
    """A file of policies/tests/."""

    cases: Annotated[tuple[Case, ...], Field(min_length=1)]
