"""The packages of a lock: for each its wheel, or the source that a wheel is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.pylock import Package as PylockPackage
from packaging.pylock import PackageSdist, PackageWheel, PylockValidationError
from packaging.utils import InvalidWheelFilename

from builder.indexes import is_remote, without_credentials
from builder.lock_refusal import Refusing
from builder.lock_tables import PackageTable
from builder.lockfile import LockedBuild, LockedWheel
from builder.pylock import SHA256
from builder.target import Target
from builder.wheels import best_wheel
from compliance.document import Key


class PackageReader(Refusing):
    """Turns the packages of a lock into LockedWheels."""

    def wheel(self, index: int, package: PylockPackage, target: Target) -> LockedWheel:
        """A package as it is on `target`; `index` is its place among the file's packages."""
        name = package.name
        if package.vcs or package.directory or package.archive:
            self.fail(f"{name} is not locked as a wheel but as source code", "packages", index)
        if package.version is None:
            self.fail(f"{name} has no version", "packages", index)
        tool = PackageTable()
        if "mlbuild" in (package.tool or {}):
            tool = self.model(PackageTable, "packages", index, "tool", "mlbuild")
        wheel = self._artifact(index, package, tool, target)
        build = self._build(index, package, tool, wheel, target)
        if tool.chain and tool.chain[-1] != name:
            self.fail(f"the chain of {name} ends in {tool.chain[-1]}", "packages", index, "tool", "mlbuild")
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
            self.fail(f"{package.name} has no wheel, and nothing says how one is built", "packages", index)
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
            self.fail(f"{package.name} has a wheel, and yet it says how one is built", *at)
        try:
            return tool.build.checked(artifact.filename, package.name, str(package.version), target)
        except ValueError as error:
            self.fail(str(error), *at, cause=error)

    def _fitting(self, index: int, name: str, wheels: Sequence[PackageWheel], target: Target) -> PackageWheel:
        try:
            wheel = best_wheel(wheels, target.tags)
        except (InvalidWheelFilename, PylockValidationError) as error:
            self.fail(f"{name}: {error}", "packages", index, "wheels", cause=error)
        if wheel is None:
            names = ", ".join(wheel.filename for wheel in wheels)
            self.fail(
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
            self.fail(f"{package.name} is locked to a local file, which nobody else has", *at)
        for url in (wheel.url, package.index or ""):
            if without_credentials(url) != url:
                self.fail(f"the address of {package.name} holds a user name or password", *at)
        if not SHA256.fullmatch(wheel.hashes.get("sha256", "")):
            self.fail(f"{wheel.filename} has no sha256 hash of 64 lower-case hexadecimal digits", *at)

    def check_names(self, wheels: Mapping[int, LockedWheel]) -> None:
        """No package stands twice, and each knows the others; `wheels` are by their place in the file."""
        seen: set[str] = set()
        known = {wheel.name for wheel in wheels.values()}
        for index, wheel in wheels.items():
            if wheel.name in seen:
                self.fail(f"{wheel.name} stands twice", "packages", index)
            seen.add(wheel.name)
            unknown = [name for name in (*wheel.depends_on, *wheel.chain) if name not in known]
            if unknown:
                self.fail(f"{wheel.name} refers to {unknown[0]}, which is not in the lock", "packages", index)
