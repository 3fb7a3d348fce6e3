"""The wheels of a lock that are needed here, those that have to be built from a source included."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from builder.artifact import Artifact
from builder.bases.build import build_base
from builder.cache import Cache
from builder.errors import BuilderError
from builder.lockfile import LockedBuild, LockedWheel
from builder.progress import Progress
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput

if TYPE_CHECKING:
    from builder.sdists.build import Builder

FORBIDDEN: Final = "Building packages from source is forbidden here (--no-sdist, or MLBUILD_SDIST=false)."


def opening(
    definition: BaseDefinition, cache: Cache, progress: Progress, *, workers: int, allowed: bool
) -> Callable[[], Builder] | None:
    """What makes a builder for a base when one is needed; None where nothing may be built."""
    if not allowed:
        return None

    def open_builder() -> Builder:
        from builder.sdists.build import Builder  # most projects have no source to build

        return Builder(build_base(definition, cache, progress, workers=workers), cache, progress, workers)

    return open_builder


def as_wheels(
    packages: Sequence[LockedWheel], needed: Collection[str], open_builder: Callable[[], Builder] | None
) -> tuple[LockedWheel, ...]:
    """Those packages of a lock whose wheels are needed, by their sha256; a source is built, unless it was before.

    `open_builder` makes what builds; None where nothing may be built. Raises InvalidInput where something of the
    lock would have to be then, and BuilderError when a source does not give the wheel that was locked.
    """
    sources = [package for package in packages if package.build is not None]
    if sources and open_builder is None:
        names = ", ".join(f"{source.name} {source.version}" for source in sources)
        raise InvalidInput(
            f"the lock has {names} as source. {FORBIDDEN}", remedy="Lock again: `mlbuild lock --no-sdist`."
        )
    wanted = [package for package in packages if package.installed.sha256 in needed]
    if open_builder is None or not any(package.build for package in wanted):
        return tuple(wanted)
    builder = open_builder()
    return tuple(_as_wheel(package, package.build, builder) if package.build else package for package in wanted)


def _as_wheel(source: LockedWheel, build: LockedBuild, builder: Builder) -> LockedWheel:
    sdist = Artifact(source.url, source.sha256, source.size, source.filename)
    wheel = builder.wheel(sdist, source.name, source.version, build.tools)
    if (wheel.filename, wheel.size, wheel.sha256) != (build.wheel, build.size, build.sha256):
        raise BuilderError(
            f"the source of {source.name} {source.version} built into another wheel than the one that was locked: "
            f"sha256 {wheel.sha256} instead of {build.sha256}",
            remedy="Its build is not the same each time: publish a wheel of it on an index of your own.",
        )
    return replace(source.installed, url=str(wheel.path))
