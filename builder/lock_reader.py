"""Reads a lock strictly: whatever is not as `mlbuild lock` writes it is refused, with its line and a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn, TypeVar, cast

from packaging.pylock import Package as PylockPackage
from packaging.pylock import PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.utils import InvalidWheelFilename

from builder.indexes import is_remote, without_credentials
from builder.lock_tables import PackageTable, SystemTable, Table, ToolTable
from builder.lockfile import FORMAT, LockedBuild, LockedModel, LockedSystem, LockedWheel, LockFile, Pins
from builder.models.asked import asked
from builder.pylock import SHA256, parse_pylock
from builder.target import Target, marker_of
from builder.wheels import best_wheel
from compliance.document import Document, Key, to_model
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.toml_document import parse_toml_document

RELOCK: Final = "Run `mlbuild lock`; it writes the file anew and keeps the versions that it can."


TableT = TypeVar("TableT", bound=Table)


def read_lock(path: Path) -> LockFile:
    """Read a lock strictly. Raises InvalidInput, with line and remedy, for anything that is not right."""
    if not path.is_file():
        raise InvalidInput(f"there is no lock at {path}", remedy="Run `mlbuild lock` to make one.")
    return parse_lock(path.read_bytes(), path)


def parse_lock(raw: bytes, path: Path) -> LockFile:
    """As read_lock, for bytes in memory; `path` is where they are or will be."""
    try:
        document = parse_toml_document(raw, path)
    except InvalidInput as error:
        raise InvalidInput(error.message, remedy=RELOCK) from error
    return _Reader(document).lock(Digest.of(raw))


class _Reader:
    """Turns a lock's tables into a LockFile, complaining with the line of what is wrong."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def lock(self, digest: Digest) -> LockFile:
        lock = self._standard()
        tool = self._tool()
        tables = [tool, *(tool.on(other) for other in tool.platforms)]
        pins = [self._pins(table) for table in tables]
        machines = [one.target.machine for one in pins]
        if machines != sorted(set(machines), key=("x86_64", "aarch64").index):
            self._fail("its platforms are not each there once, in their order", "tool", "mlbuild", "platforms")
        self._check_markers(lock, machines)
        first, *further = (
            self._platform(lock, digest, table, one) for table, one in zip(tables, pins, strict=True)
        )
        return replace(first, further=tuple(further))

    def _platform(self, lock: Pylock, digest: Digest, tool: ToolTable, pins: Pins) -> LockFile:
        """The lock as one of its platforms sees it."""
        if lock.requires_python is not None and not lock.requires_python.contains(f"{pins.target.python}.0"):
            self._fail(
                f"it requires Python {lock.requires_python}, the base has {pins.target.python}", "requires-python"
            )
        environment = cast("dict[str, str]", dict(pins.target.markers))
        packages = {
            index: self._wheel(index, package, pins.target)
            for index, package in enumerate(lock.packages)
            if package.marker is None or package.marker.evaluate(environment)
        }
        self._check_names(packages)
        return LockFile(
            self._document.path,
            digest,
            pins,
            tuple(tool.indexes),
            tuple(sorted(packages.values(), key=lambda wheel: wheel.name)),
            self._system(tool.system) if tool.system is not None else None,
            self._models(tool),
        )

    def _check_markers(self, lock: Pylock, machines: Sequence[str]) -> None:
        """The only markers are those that tell the lock's platforms apart."""
        known = {marker_of(machine) for machine in machines} if len(machines) > 1 else set()
        for index, package in enumerate(lock.packages):
            if package.marker is not None and str(package.marker).replace('"', "'") not in known:
                which = f"other than {' or '.join(sorted(known))}" if known else "but this lock is for one target"
                self._fail(f"{package.name} has a marker {which}", "packages", index)

    def _standard(self) -> Pylock:
        """The file as PEP 751 sees it."""
        try:
            return parse_pylock(self._document)
        except InvalidInput as error:
            raise InvalidInput(error.message, remedy=RELOCK) from error

    def _tool(self) -> ToolTable:
        tool = self._document.data.get("tool", {}).get("mlbuild")
        if not isinstance(tool, dict):
            self._fail("it has no [tool.mlbuild] table, so it does not say which base it is for")
        if tool.get("version") != FORMAT:
            self._fail(
                f"[tool.mlbuild] has version {tool.get('version')!r}, this mlbuild reads version {FORMAT}",
                "tool",
                "mlbuild",
                "version",
            )
        return self._model(ToolTable, "tool", "mlbuild")

    def _pins(self, tool: ToolTable) -> Pins:
        target = Target.parse(tool.python, tool.platform)
        if target is None:
            self._fail(
                f"Python {tool.python!r} on {tool.platform!r} is not a target", "tool", "mlbuild", "platform"
            )
        pins = Pins(
            tool.base.name,
            tool.base.digest,
            target,
            tuple(tool.requirements),
            tuple(tool.constraints),
            tuple(tool.options),
            tuple(tool.system.packages) if tool.system is not None else (),
            asked(tool.models),
            tuple(tool.locks),
            tool.accelerator,
        )
        if pins.digest != tool.inputs:
            self._fail(
                "the digest of its inputs is not that of the base and requirements in it: it was edited by hand",
                "tool",
                "mlbuild",
                "inputs",
            )
        return pins

    def _system(self, system: SystemTable) -> LockedSystem:
        names = [deb.name for deb in system.debs]
        for index, name in enumerate(names):
            if name in names[:index]:
                self._fail(f"the Debian package {name} stands twice", "tool", "mlbuild", "system", "debs", index)
        return LockedSystem(system.resolved, tuple(sorted(system.debs, key=lambda deb: deb.name)))

    def _models(self, tool: ToolTable) -> tuple[LockedModel, ...]:
        for index, model in enumerate(tool.models):
            if model.sha256 is None:
                self._fail(f"the model {model.target} has no sha256", "tool", "mlbuild", "models", index)
        found = (
            LockedModel(model.path, model.url, model.target, model.sha256 or "", model.size)
            for model in tool.models
        )
        return tuple(sorted(found, key=lambda model: model.to))

    def _wheel(self, index: int, package: PylockPackage, target: Target) -> LockedWheel:
        name = package.name
        if package.vcs or package.directory or package.archive:
            self._fail(f"{name} is not locked as a wheel but as source code", "packages", index)
        if package.version is None:
            self._fail(f"{name} has no version", "packages", index)
        tool = PackageTable()
        if "mlbuild" in (package.tool or {}):
            tool = self._model(PackageTable, "packages", index, "tool", "mlbuild")
        wheel = self._artifact(index, package, tool, target)
        build = self._build(index, package, tool, wheel, target)
        if tool.chain and tool.chain[-1] != name:
            self._fail(f"the chain of {name} ends in {tool.chain[-1]}", "packages", index, "tool", "mlbuild")
        assert wheel.url is not None  # noqa: S101 - _check_artifact has seen to it
        return LockedWheel(
            name=name,
            version=str(package.version),
            filename=wheel.filename,
            url=wheel.url,
            size=wheel.size,
            sha256=wheel.hashes["sha256"],
            upload_time=wheel.upload_time,
            index=package.index,
            licence=tool.licence,
            chain=tuple(tool.chain),
            depends_on=tuple(str(item.get("name")) for item in package.dependencies or ()),
            direct=tool.direct,
            yanked=tool.yanked,
            build=build,
        )

    def _artifact(
        self, index: int, package: PylockPackage, tool: PackageTable, target: Target
    ) -> PackageWheel | PackageSdist:
        """The wheel of a package, or the source that its wheel is built from."""
        if package.wheels:
            wheel = self._fitting(index, package.name, package.wheels, target)
            self._check_artifact(index, package, wheel, "wheels")
            return wheel
        if package.sdist is None or tool.build is None:
            self._fail(f"{package.name} has no wheel, and nothing says how one is built", "packages", index)
        self._check_artifact(index, package, package.sdist, "sdist")
        return package.sdist

    def _build(
        self,
        index: int,
        package: PylockPackage,
        tool: PackageTable,
        artifact: PackageWheel | PackageSdist,
        target: Target,
    ) -> LockedBuild | None:
        if tool.build is None:
            return None
        at: tuple[Key, ...] = ("packages", index, "tool", "mlbuild", "build")
        if isinstance(artifact, PackageWheel):
            self._fail(f"{package.name} has a wheel, and yet it says how one is built", *at)
        try:
            return tool.build.checked(artifact.filename, package.name, str(package.version), target)
        except ValueError as error:
            self._fail(str(error), *at, cause=error)

    def _fitting(self, index: int, name: str, wheels: Sequence[PackageWheel], target: Target) -> PackageWheel:
        try:
            wheel = best_wheel(wheels, target.tags)
        except (InvalidWheelFilename, PylockValidationError) as error:
            self._fail(f"{name}: {error}", "packages", index, "wheels", cause=error)
        if wheel is None:
            names = ", ".join(wheel.filename for wheel in wheels)
            self._fail(
                f"no wheel of {name} fits Python {target.python} on {target.platform}, only: {names}",
                "packages",
                index,
                "wheels",
            )
        return wheel

    def _check_artifact(
        self, index: int, package: PylockPackage, wheel: PackageWheel | PackageSdist, kind: str
    ) -> None:
        at: tuple[Key, ...] = ("packages", index, kind)
        if wheel.url is None or not is_remote(wheel.url):
            self._fail(f"{package.name} is locked to a local file, which nobody else has", *at)
        for url in (wheel.url, package.index or ""):
            if without_credentials(url) != url:
                self._fail(f"the address of {package.name} holds a user name or password", *at)
        if not SHA256.fullmatch(wheel.hashes.get("sha256", "")):
            self._fail(f"{wheel.filename} has no sha256 hash of 64 lower-case hexadecimal digits", *at)

    def _check_names(self, wheels: Mapping[int, LockedWheel]) -> None:
        """`wheels` are by their place among the file's packages."""
        seen: set[str] = set()
        known = {wheel.name for wheel in wheels.values()}
        for index, wheel in wheels.items():
            if wheel.name in seen:
                self._fail(f"{wheel.name} stands twice", "packages", index)
            seen.add(wheel.name)
            unknown = [name for name in (*wheel.depends_on, *wheel.chain) if name not in known]
            if unknown:
                self._fail(f"{wheel.name} refers to {unknown[0]}, which is not in the lock", "packages", index)

    def _model(self, model: type[TableT], *at: Key) -> TableT:
        try:
            return to_model(self._document, model, at)
        except InvalidInput as error:
            raise InvalidInput(error.message, remedy=RELOCK) from error

    def _fail(self, message: str, *at: Key, cause: Exception | None = None) -> NoReturn:
        raise InvalidInput(message, at=self._document.where(at), remedy=RELOCK) from cause
