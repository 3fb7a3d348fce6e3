"""Everything a policy may look at, frozen. What is missing is a value that says why, never silence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from compliance.instants import Instant
from compliance.inventory import Base, Inventory, Layer, ModelFile, Origin, PrivilegedFile, Settings
from compliance.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Absent:
    """Evidence that is not there. `pending` means it will be there once the image is built."""

    reason: str
    pending: bool = False


class Severity(StrEnum):
    UNKNOWN = "unknown"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: an image (`digest` set) or a lock on its way to one.

    `repository` is the name under which it is or will be pushed. `stage` is what a project says of
    itself; the gate leaves it empty and goes by the repository alone.
    """

    repository: str
    stage: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One known vulnerability in one installed package. `fixed` holds the versions that mend it, lowest first.

    `cvss` is the highest base score that a source gives. `epss` is the probability, 0 to 1, of being exploited
    within 30 days, and `known_exploited` whether it is listed as being exploited; both are None where no data
    says. `first_seen` is when whoever judges first met the vulnerability in this package.
    """

    id: str
    purl: str
    package: str
    installed: str
    fixed: tuple[str, ...]
    severity: Severity
    title: str
    database: str
    aliases: tuple[str, ...] = ()
    published: Instant | None = None
    url: str | None = None
    cvss: float | None = None
    epss: float | None = None
    known_exploited: bool | None = None
    first_seen: Instant | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """A vulnerability database that was used. `updated` is when its content was made."""

    name: str
    digest: Digest
    updated: Instant


@dataclass(frozen=True, slots=True)
class VulnerabilityScan:
    """What the databases know of the inventory. `notes` say which databases could not be used, and why."""

    vulnerabilities: tuple[Vulnerability, ...]
    databases: tuple[Database, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential found in a file. `match` is the line with the secret itself blanked out."""

    path: str
    line: int
    rule: str
    title: str
    severity: Severity
    origin: Origin
    match: str
    layer: Digest | None = None


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package as the lock pins it. `index` is the index it was resolved from, `url` the artifact.

    `upload_time` is when the artifact was put on the index, `yanked` whether its index had withdrawn it when it
    was locked; both are None where that is not known.
    """

    name: str
    version: str
    sha256: str | None
    url: str | None
    index: str | None
    upload_time: Instant | None = None
    yanked: bool | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock an image is made from. `digest` is of the file's bytes."""

    digest: Digest
    packages: tuple[LockedPackage, ...]


@dataclass(frozen=True, slots=True)
class Sbom:
    """The SBOM that came with the image. `missing` and `extra` are purls that the bytes and the claim disagree on:
    in the image but not claimed, claimed but not in the image. `key` is the name of the key that signed it."""

    digest: Digest
    format: str
    components: int
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class BuildStep:
    """A command that ran inside the image while it was built. `network` is whether it could reach any.

    `user` is who it ran as, where the spec says so. `layer` is what it left; it need not leave the same twice.
    """

    command: str
    network: bool = False
    user: str | None = None
    layer: Digest | None = None


@dataclass(frozen=True, slots=True)
class BuiltSdist:
    """A package that was built from source instead of taken as a wheel. `sha256` is of the source archive.

    `wheel` is the sha256 of what the build gave, and `requires` are the packages that built it.
    """

    name: str
    version: str
    sha256: str | None = None
    network: bool = False
    wheel: str | None = None
    requires: tuple[LockedPackage, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """How the image was built, in the words of its verified provenance: what ran, and what was compiled.

    `bytecode` says that the base's interpreter compiled the packages' sources.
    """

    steps: tuple[BuildStep, ...] = ()
    sdists: tuple[BuiltSdist, ...] = ()
    bytecode: bool = False


@dataclass(frozen=True, slots=True)
class Provenance:
    """A verified SLSA provenance statement about this very image: who built it, from what, signed by which key."""

    builder: str
    key: str
    lock: Digest | None
    base: Digest | None


_FIRST_THAT_FITS: Final = Field(union_mode="left_to_right")
"""Stored parts are tried as what they nearly always are: the large ones are then read a third faster."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one subject. `artifact` is the type of what is no image, and not looked into."""

    subject: Subject
    base: Base | Absent
    inventory: Annotated[Inventory | Absent, _FIRST_THAT_FITS]
    settings: Settings | Absent
    lock: Annotated[Lock | Absent, _FIRST_THAT_FITS]
    vulnerabilities: Annotated[VulnerabilityScan | Absent, _FIRST_THAT_FITS]
    secrets: tuple[Secret, ...] | Absent
    models: tuple[ModelFile, ...] | Absent
    sbom: Sbom | Absent
    provenance: Provenance | Absent
    layers: tuple[Layer, ...] | Absent = Absent("the layers of the image are not known")
    privileged: tuple[PrivilegedFile, ...] | Absent = Absent("the files of the image were not read")
    build: Build | Absent = Absent("nothing says how the image was built")
    artifact: str | None = None
