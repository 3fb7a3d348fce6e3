"""Fetching locked Debian packages: from the mirror while it has them, else from the snapshot archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from builder.cache import Cache
from builder.fetch import Artifact, fetch
from builder.progress import Progress
from compliance.base_files import LockedDeb, Recipe
from compliance.errors import Unavailable
from compliance.oci.digest import Digest


def fetch_debs(
    recipe: Recipe,
    packages: Sequence[LockedDeb],
    created: datetime,
    cache: Cache,
    progress: Progress,
    *,
    workers: int,
) -> Mapping[str, Path]:
    """The files of the packages, by sha256, each with the hash and size that is locked.

    Mirrors keep only what is current. The snapshot archive keeps everything that ever was; it is asked
    for the state at `created`, when a mirror no longer has what is locked. Raises Unavailable when neither
    has a package.
    """
    current = {archive.name: archive.mirror for archive in recipe.archives}
    try:
        return fetch([_artifact(package, current) for package in packages], cache, progress, workers=workers)
    except Unavailable as error:
        gone = [package for package in packages if cache.get(Digest(f"sha256:{package.sha256}")) is None]
        progress.step(f"{error.message}; asking the snapshot archive for {len(gone)} packages")
        at = f"{created:%Y%m%dT%H%M%SZ}"
        then = {archive.name: f"{archive.snapshot}/{at}" for archive in recipe.archives}
        try:
            fetch([_artifact(package, then) for package in gone], cache, progress, workers=workers)
        except Unavailable as second:
            raise Unavailable(
                f"Debian packages of {recipe.name} cannot be had: {error.message}; and then: {second.message}",
                remedy=f"Try again later, or lock current versions: mlbuild base lock {recipe.name}",
            ) from error
    return {package.sha256: cache.path(Digest(f"sha256:{package.sha256}")) for package in packages}


def _artifact(package: LockedDeb, roots: Mapping[str, str]) -> Artifact:
    # `+` stands for itself in a path, but some mirrors read it as a space
    url = f"{roots[package.archive]}/{quote(package.path, safe='/~')}"
    name = package.path.rpartition("/")[2]
    return Artifact(url=url, sha256=package.sha256, size=package.size, name=name)
