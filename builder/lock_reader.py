"""Reads a lock strictly: whatever is not as `mlbuild lock` writes it is refused, with its line and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from packaging.pylock import Pylock

from builder.lock_packages import PackageReader
from builder.lock_refusal import RELOCK, Refusing
from builder.lock_tables import SystemTable, ToolTable
from builder.lockfile import FORMAT, LockedModel, LockedSystem, LockFile, Pins
from builder.models.asked import asked
from builder.pylock import parse_pylock
from builder.target import Target, marker_of
from compliance.document import Document
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.toml_document import parse_toml_document


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


class _Reader(Refusing):
    """Turns a lock's tables into a LockFile, complaining with the line of what is wrong."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self._packages = PackageReader(document)

    def lock(self, digest: Digest) -> LockFile:
        lock = self._standard()
        tool = self._tool()
        tables = [tool, *(tool.on(other) for other in tool.platforms)]
        pins = [self._pins(table) for table in tables]
        machines = [one.target.machine for one in pins]
        if machines != sorted(set(machines), key=("x86_64", "aarch64").index):
            self.fail("its platforms are not each there once, in their order", "tool", "mlbuild", "platforms")
        self._check_markers(lock, machines)
        first, *further = (
            self._platform(lock, digest, table, one) for table, one in zip(tables, pins, strict=True)
        )
        return replace(first, further=tuple(further))

    def _platform(self, lock: Pylock, digest: Digest, tool: ToolTable, pins: Pins) -> LockFile:
        """The lock as one of its platforms sees it."""
        if lock.requires_python is not None and not lock.requires_python.contains(f"{pins.target.python}.0"):
            self.fail(
                f"it requires Python {lock.requires_python}, the base has {pins.target.python}", "requires-python"
            )
        environment = cast("dict[str, str]", dict(pins.target.markers))
        packages = {
            index: self._packages.wheel(index, package, pins.target)
            for index, package in enumerate(lock.packages)
            if package.marker is None or package.marker.evaluate(environment)
        }
        self._packages.check_names(packages)
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
                self.fail(f"{package.name} has a marker {which}", "packages", index)

    def _standard(self) -> Pylock:
        """The file as PEP 751 sees it."""
        try:
            return parse_pylock(self._document)
        except InvalidInput as error:
            raise InvalidInput(error.message, remedy=RELOCK) from error

    def _tool(self) -> ToolTable:
        tool = self._document.data.get("tool", {}).get("mlbuild")
        if not isinstance(tool, dict):
            self.fail("it has no [tool.mlbuild] table, so it does not say which base it is for")
        if tool.get("version") != FORMAT:
            self.fail(
                f"[tool.mlbuild] has version {tool.get('version')!r}, this mlbuild reads version {FORMAT}",
                "tool",
                "mlbuild",
                "version",
            )
        return self.model(ToolTable, "tool", "mlbuild")

    def _pins(self, tool: ToolTable) -> Pins:
        target = Target.parse(tool.python, tool.platform)
        if target is None:
            self.fail(
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
            self.fail(
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
                self.fail(f"the Debian package {name} stands twice", "tool", "mlbuild", "system", "debs", index)
        return LockedSystem(system.resolved, tuple(sorted(system.debs, key=lambda deb: deb.name)))

    def _models(self, tool: ToolTable) -> tuple[LockedModel, ...]:
        for index, model in enumerate(tool.models):
            if model.sha256 is None:
                self.fail(f"the model {model.target} has no sha256", "tool", "mlbuild", "models", index)
        found = (
            LockedModel(model.path, model.url, model.target, model.sha256 or "", model.size)
            for model in tool.models
        )
        return tuple(sorted(found, key=lambda model: model.to))
