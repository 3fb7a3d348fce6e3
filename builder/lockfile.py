"""The lock, `pylock.toml` (PEP 751): which wheels an image is made from, and why each is there.

It is a standard lock file that other installers can read, with what mlbuild needs besides in the tables
that the standard leaves to tools: `[tool.mlbuild]` pins the base and records what was asked for, so that a
stale or edited lock is noticed without resolving again; `[packages.tool.mlbuild]` gives a package's licence
and the way from a requirement to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from packageurl import PackageURL

from builder.target import Target
from compliance.base_files import LockedDeb
from compliance.oci.digest import Digest

LOCK_NAME: Final = "pylock.toml"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class LockedTool:
    """A wheel that takes part in a build and is not in the image. `size` is in bytes."""

    name: str
    version: str
    filename: str
    url: str
    size: int | None
    sha256: str
    index: str | None


@dataclass(frozen=True, slots=True)
class LockedBuild:
    """How a source distribution becomes a wheel: by which tools, sorted by name, and what wheel comes of it."""

    tools: tuple[LockedTool, ...]
    wheel: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One package: the wheel chosen for the base. Field by field as `pylock.toml` has it.

    Where there is none, it is the source distribution that a wheel is built from, and `build` says how.
    `licence` is an SPDX expression where that could be told. `chain` leads from a requirement to this
    package, both included, and is empty where nothing in the lock asks for it. `depends_on` are names.
    `direct` says that the user asked for it. `size` is in bytes. `yanked` is whether its index had withdrawn
    it when it was locked; None where nobody asked.
    """

    name: str
    version: str
    filename: str
    url: str
    size: int | None
    sha256: str
    upload_time: datetime | None
    index: str | None
    licence: str | None
    chain: tuple[str, ...]
    depends_on: tuple[str, ...]
    direct: bool
    yanked: bool | None = None
    build: LockedBuild | None = None

    @property
    def installed(self) -> LockedWheel:
        """What goes into the image: the wheel itself, or the one that is built, which has no address."""
        if self.build is None:
            return self
        return replace(
            self, filename=self.build.wheel, url="", size=self.build.size, sha256=self.build.sha256, build=None
        )

    @property
    def purl(self) -> str:
        return PackageURL("pypi", None, self.name, self.version).to_string()


@dataclass(frozen=True, slots=True)
class Pins:
    """What a lock was made for: the base and what was asked for, in canonical form, sorted."""

    base_name: str
    base_digest: Digest
    target: Target
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    accelerator: str | None = None

    @property
    def digest(self) -> Digest:
        """One digest over all of it, the same whenever the same was asked for."""
        parts = [
            FORMAT,
            self.base_name,
            self.base_digest,
            self.target.python,
            self.target.platform,
            list(self.requirements),
            list(self.constraints),
            list(self.options),
        ]
        accelerator = (self.accelerator,) if self.accelerator is not None else ()
        further = {
            "system": self.system,
            "models": self.models,
            "locks": self.locks,
            "accelerator": accelerator,
        }
        asked = {name: list(texts) for name, texts in further.items() if texts}
        return Digest.of(json.dumps([*parts, asked] if asked else parts, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class LockedSystem:
    """The Debian packages that lie on the base, sorted by name. `resolved` is when (UTC) they were current."""

    resolved: datetime
    debs: tuple[LockedDeb, ...]


@dataclass(frozen=True, slots=True)
class LockedPlatform:
    """What of a lock one platform sees; the models are for all."""

    pins: Pins
    wheels: tuple[LockedWheel, ...]
    system: LockedSystem | None = None


@dataclass(frozen=True, slots=True)
class LockedModel:
    """A model file: a path in the project or an address, its place in the image, and its sha256.

    `size` is in bytes, where it is known without downloading.
    """

    path: str | None
    url: str | None
    to: str
    sha256: str
    size: int | None

    @property
    def source(self) -> str:
        return self.path or self.url or ""


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock that was read and found whole. `digest` is of the file's bytes; `wheels` are sorted by name.

    It is the lock as one platform sees it, the first; `further` are the same file as the others see it.
    """

    path: Path
    digest: Digest
    pins: Pins
    indexes: tuple[str, ...]
    wheels: tuple[LockedWheel, ...]
    system: LockedSystem | None = None
    models: tuple[LockedModel, ...] = ()
    further: tuple[LockFile, ...] = ()

    @property
    def each(self) -> tuple[LockFile, ...]:
        """The lock as each of its platforms sees it."""
        return self, *self.further

    @property
    def versions(self) -> Mapping[str, str]:
        """The version of each package, by its normalised name, on all platforms; where they differ the first's."""
        return {wheel.name: wheel.version for part in reversed(self.each) for wheel in part.wheels}

    @property
    def size(self) -> int:
        """Bytes to download in all, as far as the index said."""
        return sum(wheel.size or 0 for wheel in self.wheels)
