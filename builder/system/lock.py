"""Locking a project's Debian packages: apt says which, on the base as it is; then they are tried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from builder.bases.archives import fetch_debs
from builder.bases.build import build_base
from builder.bases.lock import locked_deb
from builder.bases.resolve import NoSuchPackages, ResolvedDeb, dependencies, resolve_above
from builder.cache import Cache
from builder.errors import BuilderError
from builder.fetch import FetchError
from builder.layers.below import read_below
from builder.lockfile import LockedSystem
from builder.progress import Progress
from builder.system.layer import system_layer
from builder.system.licences import with_licences
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput, Location


@dataclass(frozen=True, slots=True)
class AskedDebs:
    """The Debian packages a spec asks for. `at` is where the list stands, `places` where each name does."""

    names: tuple[str, ...]
    at: Location
    places: tuple[Location, ...]


def lock_system(
    asked: AskedDebs, base: BaseDefinition, cache: Cache, progress: Progress, *, now: datetime, workers: int = 8
) -> LockedSystem:
    """Resolve the packages against the base's own suites, at `now`, and see that they fit on the base.

    Raises InvalidInput for names that are no packages and packages that do not go with the base,
    Unavailable where there is no apt or the archives cannot be read.
    """
    built = build_base(base, cache, progress, workers=workers)
    installed = read_below(layer.path for layer in built.layers).controls
    present = sorted(set(asked.names) & set(installed))
    if present:
        progress.step(f"in the base already: {', '.join(present)}")
    progress.step(f"resolving {len(asked.names)} Debian packages for {base.name}")
    try:
        found = resolve_above(base.recipe, base.architecture, asked.names, installed)
    except NoSuchPackages as error:
        raise _unknown(error, asked, base) from error
    except BuilderError as error:
        raise InvalidInput(
            f"these Debian packages do not go with the base {base.name}: {error.message}",
            at=asked.at,
            remedy="Change the list. When the base has grown old, have it locked again: "
            f"mlbuild base lock {base.name}",
        ) from error
    resolved = now.astimezone(UTC).replace(microsecond=0)
    system = LockedSystem(resolved, tuple(_locked(package, found, set(installed)) for package in found))
    return _tried(system, asked, base, cache, progress, workers)


def _tried(
    system: LockedSystem, asked: AskedDebs, base: BaseDefinition, cache: Cache, progress: Progress, workers: int
) -> LockedSystem:
    """The same packages with their licences, once they have been extracted: what cannot be is known now."""
    built = build_base(base, cache, progress, workers=workers)
    try:
        system_layer(built, system, asked.names, cache, progress, workers=workers)
        debs = fetch_debs(base.recipe, system.debs, system.resolved, cache, progress, workers=workers)
    except FetchError:
        raise
    except BuilderError as error:
        raise InvalidInput(
            f"these Debian packages cannot be extracted onto {base.name}: {error.message}",
            at=asked.at,
            remedy="Leave out the package it comes with, or have the file excluded in the base's recipe.",
        ) from error
    return LockedSystem(system.resolved, with_licences(system.debs, debs, base.recipe))


def _locked(package: ResolvedDeb, found: Sequence[ResolvedDeb], installed: set[str]) -> LockedDeb:
    below = {name for group in package.depends for name in group if name in installed}
    return locked_deb(package, tuple(sorted({*dependencies(package, found), *below})))


def _unknown(error: NoSuchPackages, asked: AskedDebs, base: BaseDefinition) -> InvalidInput:
    places = dict(zip(asked.names, asked.places, strict=True))
    lines = [
        f"{base.os.id} {base.os.version} has no package {name!r}" + (f", did you mean {near!r}?" if near else "")
        for name, near in error.near.items()
    ]
    first, *rest = error.near
    return InvalidInput(
        "\n".join([lines[0], *(f"{places[name]}: {line}" for name, line in zip(rest, lines[1:], strict=True))]),
        at=places[first],
        remedy="Mend the name; packages.debian.org tells which package holds a file.",
    )
