"""A project's Debian packages as parts of its image, and who asked for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.lockfile import LockedSystem
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput
from compliance.inventory import Origin, Package
from compliance.oci.digest import Digest


def system_packages(
    system: LockedSystem, asked: Sequence[str], base: BaseDefinition, layer: Digest | None
) -> tuple[Package, ...]:
    """The packages sorted by purl, each with the way from a name the user wrote to it.

    `layer` is the diffID of their layer, once it is known. Raises InvalidInput when the lock does not go
    with the base.
    """
    check_system(system, base)
    return base.inventoried(system.debs, Origin.DEPENDENCY, layer, chains(system.debs, asked))


def chains(debs: Sequence[LockedDeb], asked: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The shortest way from a name in `asked` to each package; among equals the one whose names sort first."""
    by_name = {deb.name: deb for deb in debs}
    found: dict[str, tuple[str, ...]] = {}
    level: list[tuple[str, ...]] = [(name,) for name in sorted(asked)]
    while level:
        following: list[tuple[str, ...]] = []
        for chain in sorted(level):
            name = chain[-1]
            if name in by_name and name not in found:
                found[name] = chain
                following += [(*chain, step) for step in by_name[name].depends]
        level = following
    return found


def check_system(system: LockedSystem, base: BaseDefinition) -> None:
    """Raise InvalidInput where the locked packages do not go with the base: the lock was edited by hand."""
    archives = {archive.name for archive in base.recipe.archives}
    known = {package.name for package in base.image.packages}
    own = {deb.name for deb in system.debs}
    for deb in system.debs:
        problem = None
        if deb.name in known:
            problem = "is in the base already"
        elif deb.archive not in archives:
            problem = f"comes from {deb.archive!r}, which is no archive of the base"
        elif strangers := sorted(set(deb.depends) - known - own):
            problem = f"depends on {strangers[0]}, which is neither locked nor in the base"
        if problem is not None:
            raise InvalidInput(
                f"the lock's Debian package {deb.name} {problem}", remedy="Run `mlbuild lock` to write it anew."
            )
