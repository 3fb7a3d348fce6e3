"""Locks that other tools wrote, as input: uv.lock beside its pyproject.toml, and any pylock.toml (PEP 751).

What they pin is what is resolved, and every wheel must be one that they list by hash. They are for many
platforms and tools; the project's own lock is then made from them for its base, as from requirements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field

from builder.pylock import SHA256, parse_pylock
from builder.uv import ResolvedWheel
from compliance.document import Document, to_model
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.toml_document import read_toml_document

UV_LOCK: Final = "uv.lock"

_OWN: Final = ("editable", "virtual", "directory")
_FOREIGN_MARKERS: Final = ("extras", "dependency_groups")
_EXPORT: Final = "Write the lock anew by the tool that made it."
_UV_EXPORT: Final = "Run `uv lock`."


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a foreign lock. `hashes` are the sha256 of its wheels.

    `marker` tells for which environments it is, where it is not for all; `foreign` says where it comes from,
    where that is no index.
    """

    name: str
    version: str
    hashes: frozenset[str]
    at: Location
    marker: Marker | None = None
    foreign: str | None = None

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


@dataclass(frozen=True, slots=True)
class ForeignLock:
    """A lock to follow. `asked` are the requirements it was made for, where it says; `python` what it is for."""

    path: Path
    digest: Digest
    pins: tuple[Pin, ...]
    remedy: str
    asked: Mapping[str, SpecifierSet | None] | None = None
    python: SpecifierSet | None = None

    def check_asked(self, requirement: Requirement, at: Location) -> None:
        """Raise InvalidInput when this lock was made before `requirement`, which stands at `at`, was written."""
        name = canonicalize_name(requirement.name)
        if self.asked is None:
            return
        if name not in self.asked or self.asked[name] not in {None, requirement.specifier}:
            raise InvalidInput(f"{self.path.name} was not made for {requirement}", at=at, remedy=self.remedy)

    def check(self, wheels: Iterable[ResolvedWheel], *, alone: bool) -> None:
        """Raise InvalidInput, with the line, where a wheel is not one that this lock lists.

        `alone` says that nothing else asks for packages, so that all must be in it.
        """
        for wheel in wheels:
            pins = [pin for pin in self.pins if pin.name == wheel.name]
            if not pins:
                if alone:
                    raise InvalidInput(
                        f"does not hold {wheel.name}, which is needed",
                        at=Location(self.path),
                        remedy=self.remedy,
                    )
                continue
            self._check_wheel(wheel, pins)

    def _check_wheel(self, wheel: ResolvedWheel, pins: Sequence[Pin]) -> None:
        elsewhere = next((pin for pin in pins if pin.foreign is not None), None)
        if elsewhere is not None:
            raise InvalidInput(
                f"{wheel.name} comes from {elsewhere.foreign}, and an image is made of wheels on an index",
                at=elsewhere.at,
                remedy="Publish a wheel of it on an index, and lock that.",
            )
        same = [pin for pin in pins if pin.version == wheel.version]
        if not same:
            raise InvalidInput(
                f"{wheel.name} {', '.join(pin.version for pin in pins)} is pinned, {wheel.version} is needed",
                at=pins[0].at,
                remedy=self.remedy,
            )
        if not any(wheel.sha256 in pin.hashes for pin in same):
            raise InvalidInput(
                f"{wheel.filename} has sha256 {wheel.sha256} on {wheel.index or 'its index'}, "
                f"and is not among the wheels of {wheel.name} {wheel.version} here",
                at=same[0].at,
                remedy="Somebody replaced or added a wheel. Look at it, then lock again by the tool that made "
                "this file, or use the index that it was made with.",
            )


class _Foreign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _UvWheel(_Foreign):
    hash: str | None = None


class _UvRequirement(_Foreign):
    name: str
    specifier: str | None = None
    marker: str | None = None


class _UvMetadata(_Foreign):
    requires_dist: tuple[_UvRequirement, ...] = Field(default=(), alias="requires-dist")


class _UvPackage(_Foreign):
    name: str
    version: str | None = None
    source: dict[str, Any]
    markers: tuple[str, ...] = Field(default=(), alias="resolution-markers")
    wheels: tuple[_UvWheel, ...] = ()
    metadata: _UvMetadata = _UvMetadata()


class _UvLock(_Foreign):
    version: int
    python: str | None = Field(default=None, alias="requires-python")
    packages: tuple[_UvPackage, ...] = Field(default=(), alias="package")


def read_uv_lock(path: Path) -> ForeignLock:
    """Read uv.lock. Raises InvalidInput, with the line, for what is not one."""
    document = read_toml_document(path)
    lock = to_model(document, _UvLock)
    if lock.version != 1:
        raise InvalidInput(
            f"it has version {lock.version}, this mlbuild reads version 1",
            at=document.where(("version",)),
            remedy="Lock with a version of uv that writes it, or export: uv export --format pylock.toml.",
        )
    own = [
        package
        for package in lock.packages
        if package.source.get("virtual", package.source.get("editable")) == "."
    ]
    if len(own) != 1:
        raise InvalidInput(
            "it does not say which package is the project of this folder",
            at=Location(path),
            remedy="Name the uv.lock that stands beside the project's pyproject.toml; of a workspace, export one: "
            "uv export --package NAME --format pylock.toml -o locked/pylock.toml.",
        )
    pins = (
        _uv_pin(package, document, index)
        for index, package in enumerate(lock.packages)
        if package is not own[0] and package.version is not None
    )
    asked: dict[str, SpecifierSet | None] = {
        canonicalize_name(item.name): _specifiers(item.specifier, path) if item.specifier is not None else None
        for item in own[0].metadata.requires_dist
        if "extra ==" not in (item.marker or "")
    }
    python = _specifiers(lock.python, path) if lock.python is not None else None
    return ForeignLock(path, Digest.of(path.read_bytes()), tuple(pins), _UV_EXPORT, asked, python)


def _uv_pin(package: _UvPackage, document: Document, index: int) -> Pin:
    at = document.where(("package", index))
    kind, place = next(iter(package.source.items()))
    foreign = None if kind in {"registry", "url"} else f"{'this workspace' if kind in _OWN else kind}, {place}"
    hashes = frozenset(
        wheel.hash.removeprefix("sha256:")
        for wheel in package.wheels
        if wheel.hash and wheel.hash.startswith("sha256:")
    )
    marker = _marker(" or ".join(f"({text})" for text in package.markers), at) if package.markers else None
    return Pin(canonicalize_name(package.name), package.version or "", hashes, at, marker, foreign)


def read_pylock(path: Path) -> ForeignLock:
    """Read a pylock.toml. Raises InvalidInput, with the line, for what an image cannot be made of."""
    document = read_toml_document(path)
    try:
        lock = parse_pylock(document)
        pins = tuple(
            _pylock_pin(package, document.where(("packages", index)))
            for index, package in enumerate(lock.packages)
        )
    except InvalidInput as error:
        raise InvalidInput(error.message, remedy=error.remedy or _EXPORT) from error
    return ForeignLock(path, Digest.of(path.read_bytes()), pins, _EXPORT, None, lock.requires_python)


def _pylock_pin(package: Package, at: Location) -> Pin:
    name = package.name
    if package.vcs or package.directory or package.archive:
        raise InvalidInput(
            f"{name} is locked as source code, and an image is made of wheels on an index",
            at=at,
            remedy="Publish a wheel of it on an index, and lock that.",
        )
    if package.version is None:
        raise InvalidInput(f"{name} has no version", at=at)
    hashes = frozenset(wheel.hashes.get("sha256", "") for wheel in package.wheels or ())
    if not hashes or not all(SHA256.fullmatch(text) for text in hashes):
        raise InvalidInput(f"{name} {package.version} has no wheel, or one without a sha256", at=at)
    if package.marker is not None and any(word in str(package.marker) for word in _FOREIGN_MARKERS):
        raise InvalidInput(
            f"{name} depends on which extras or groups are chosen: {package.marker}",
            at=at,
            remedy="Export a lock for the one choice that the image is for.",
        )
    return Pin(name, str(package.version), hashes, at, package.marker)


def _marker(text: str, at: Location) -> Marker:
    try:
        return Marker(text)
    except InvalidMarker as error:
        raise InvalidInput(f"{text!r} is not a marker", at=at, remedy=_UV_EXPORT) from error


def _specifiers(text: str, path: Path) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise InvalidInput(f"{text!r} is not a version specifier", at=Location(path), remedy=_UV_EXPORT) from error
