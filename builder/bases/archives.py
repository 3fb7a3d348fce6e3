"""Fetching locked Debian packages: from the mirror while it has them, else from the snapshot archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from builder.cache import Cache
from builder.fetch import Artifact, FetchError, fetch
from builder.progress import Progress
from compliance.base_files import LockedDeb, Recipe
from compliance.oci.digest import Digest


def fetch_debs(
    recipe: Recipe,
    packages: Sequence[LockedDeb],
    created: datetime,
    cache: Cache,
    progress: Progress,
    *,
    workers: int,
    relock: str | None = None,
) -> Mapping[str, Path]:
    """The files of the packages, by sha256, each with the hash and size that is locked.

    Mirrors keep only what is current. The snapshot archive keeps everything that ever was; it is asked
    for the state at `created` where a mirror no longer has what is locked. Raises FetchError when
    neither has a package; `relock` is the command that locks anew, where it is not the base's.
    """
    relock = relock or f"mlbuild base lock {recipe.name}"
    mirrors = {archive.name: archive.mirror for archive in recipe.archives}
    try:
        return fetch([_artifact(package, mirrors) for package in packages], cache, progress, workers=workers)
    except FetchError as error:
        progress.step(f"{error.message}; the snapshot archive may have it")
    at = f"{created:%Y%m%dT%H%M%SZ}"
    snapshots = {archive.name: f"{archive.snapshot}/{at}" for archive in recipe.archives}
    found: dict[str, Path] = {}
    for package in packages:
        found[package.sha256] = cache.get(Digest(f"sha256:{package.sha256}")) or _fetch_one(
            package, (mirrors, snapshots), relock, cache, progress
        )
    return found


def _fetch_one(
    package: LockedDeb, places: Sequence[Mapping[str, str]], relock: str, cache: Cache, progress: Progress
) -> Path:
    failures = []
    for roots in places:
        try:
            return fetch([_artifact(package, roots)], cache, progress)[package.sha256]
        except FetchError as error:
            failures.append(error.message)
    raise FetchError(
        f"the Debian package {package.name} {package.version} cannot be had: {'; '.join(failures)}",
        remedy=f"Try again later, or lock what is current: {relock}",
    )


def _artifact(package: LockedDeb, roots: Mapping[str, str]) -> Artifact:
    # `+` is a plus in a path, but some servers take it for a space
    url = f"{roots[package.archive]}/{quote(package.path, safe='/~')}"
    return Artifact(url=url, sha256=package.sha256, size=package.size, name=package.path.rpartition("/")[2])
