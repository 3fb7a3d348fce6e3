"""What is inside an image: operating system, packages, models and image settings, each with its place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from compliance.instants import Instant
from compliance.oci.digest import Digest
from compliance.oci.manifest import ImageConfig, Manifest, RuntimeConfig


class Origin(StrEnum):
    """Who brought something into the image."""

    BASE = "base"  # the curated base image
    DEPENDENCY = "dependency"  # a locked package
    APP = "app"  # the project's own files


class Ecosystem(StrEnum):
    PYPI = "pypi"
    DEBIAN = "deb"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """As in os-release: `id` is `debian`, `version` is `12`."""

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    `name` is the normalised name of its ecosystem. `licence` is an SPDX expression where one is known,
    else the text the package declares. `sha256` and `url` are of the artifact it was installed from.
    `chain` leads from the requirement the user wrote to this package: `("fastapi", "starlette")`; it is
    empty where that is not known. `depends_on` are purls.
    """

    purl: str
    name: str
    version: str
    ecosystem: Ecosystem
    origin: Origin
    layer: Digest | None = None
    licence: str | None = None
    sha256: str | None = None
    url: str | None = None
    source_name: str | None = None
    source_version: str | None = None
    architecture: str | None = None
    chain: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that holds a model, recognised by content. `unsafe` says why loading it may run code."""

    path: str
    format: str
    origin: Origin
    sha256: str
    size: int
    layer: Digest | None = None
    unsafe: str | None = None


class Privilege(StrEnum):
    """What lets a file act as somebody else than who runs it."""

    SETUID = "setuid"
    SETGID = "setgid"
    CAPABILITIES = "capabilities"


@dataclass(frozen=True, slots=True)
class PrivilegedFile:
    """A file that gives whoever runs it more rights than he has. `owner` and `group` are numbers."""

    path: str
    privileges: tuple[Privilege, ...]
    origin: Origin
    owner: int = 0
    group: int = 0
    layer: Digest | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image, as its manifest and config have it. `size` is of the blob, in bytes."""

    diff_id: Digest
    digest: Digest
    size: int
    origin: Origin | None = None
    created_by: str | None = None

    @classmethod
    def of(cls, manifest: Manifest, config: ImageConfig, base: Collection[Digest]) -> tuple[Layer, ...]:
        """The layers of an image from the bottom up; `base` are the diffIDs of its base's."""
        steps = [step.created_by for step in config.history or () if not step.empty_layer]
        diff_ids = config.rootfs.diff_ids
        said = steps if len(steps) == len(diff_ids) else [None] * len(diff_ids)
        return tuple(
            cls(diff_id, blob.digest, blob.size, Origin.BASE if diff_id in base else None, created_by)
            for diff_id, blob, created_by in zip(diff_ids, manifest.layers, said, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the image config makes a runtime do. `user` is as written: a name, a number, `uid:gid` or empty."""

    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...]
    exposed_ports: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    working_dir: str

    @classmethod
    def of(cls, config: RuntimeConfig) -> Settings:
        """The settings in the `config` member of an image config."""
        return cls(
            user=config.user or "",
            entrypoint=config.entrypoint or (),
            command=config.cmd or (),
            environment=config.env or (),
            exposed_ports=tuple(sorted(config.exposed_ports or ())),
            labels=tuple(sorted((config.labels or {}).items())),
            working_dir=config.working_dir or "",
        )


@dataclass(frozen=True, slots=True)
class Inventory:
    """The operating system and every package, sorted by purl and layer."""

    os: OperatingSystem | None
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """A curated base image, as its folder in base-images/ describes it. `diff_ids` are its layers.

    `created` is the state of the archives that it was made from.
    """

    name: str
    digest: Digest
    diff_ids: tuple[Digest, ...]
    owner: str
    end_of_life: Instant
    created: Instant | None = None
