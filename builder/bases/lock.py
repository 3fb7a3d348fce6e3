"""Locking a base: resolve, fetch, read licences, build, and write down what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import tomlkit

from builder.bases.archives import fetch_debs
from builder.bases.build import COMPRESSION, config_of, manifest_of, write_base_layer
from builder.bases.licences import licence_of
from builder.bases.resolve import ResolvedDeb, dependencies, resolve
from builder.cache import Cache
from builder.layers.deb import read_deb
from builder.progress import Progress
from compliance.base_files import (
    LOCK_FILE,
    Architecture,
    BaseLock,
    LockedDeb,
    LockedImage,
    Recipe,
    read_lock,
    read_recipe,
)
from compliance.bases import BaseDefinition, read_base, settings_of
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import Platform


def lock_base(
    directory: Path, cache: Cache, progress: Progress, *, now: datetime, workers: int = 8
) -> tuple[BaseDefinition, ...]:
    """Lock the base in `directory` anew, for every architecture of its recipe, and return what is locked.

    `now` becomes the time of everything in the base, unless packages and recipe are as they were: then
    the lock stays as it is, to the byte. Raises Unavailable when apt or the archives cannot be used.
    """
    recipe, recipe_digest = read_recipe(directory)
    created = now.astimezone(UTC).replace(microsecond=0)
    before = _previous(directory, recipe, recipe_digest)
    chosen: dict[Architecture, tuple[LockedDeb, ...]] = {}
    for architecture in recipe.architectures:
        progress.step(f"Resolve the Debian packages of {recipe.name} for {architecture}")
        chosen[architecture] = _resolved(recipe, architecture)
    if before is not None and _same(before, chosen):
        created = before.created
    images = []
    for architecture, packages in chosen.items():
        debs = fetch_debs(recipe, packages, created, cache, progress, workers=workers)
        progress.step(f"Extract {len(packages)} Debian packages for {architecture}")
        images.append(_image(recipe, architecture, _licensed(recipe, packages, debs), debs, created, cache))
    lock = BaseLock(
        lock_version=1,
        recipe=recipe_digest,
        created=created,
        compressor=COMPRESSION.writer,
        images=tuple(images),
    )
    _write(directory / LOCK_FILE, recipe.name, lock)
    return read_base(directory)


def _previous(directory: Path, recipe: Recipe, recipe_digest: Digest) -> BaseLock | None:
    """The lock there is, when it is of this very recipe; one that is not, or is broken, will be replaced."""
    try:
        return read_lock(directory, recipe, recipe_digest)
    except InvalidInput:
        return None


def _same(before: BaseLock, chosen: Mapping[Architecture, Sequence[LockedDeb]]) -> bool:
    """Whether the packages are those of the lock, file by file."""
    locked = {str(image.architecture): [package.sha256 for package in image.packages] for image in before.images}
    return locked == {str(name): [package.sha256 for package in packages] for name, packages in chosen.items()}


def _resolved(recipe: Recipe, architecture: str) -> tuple[LockedDeb, ...]:
    packages = resolve(recipe, architecture)
    return tuple(_locked(package, dependencies(package, packages)) for package in packages)


def _locked(package: ResolvedDeb, depends: tuple[str, ...]) -> LockedDeb:
    return LockedDeb(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        source=package.source,
        source_version=package.source_version,
        archive=package.archive,
        path=package.path,
        size=package.size,
        sha256=package.sha256,
        depends=depends,
    )


def _licensed(recipe: Recipe, packages: Sequence[LockedDeb], debs: Mapping[str, Path]) -> tuple[LockedDeb, ...]:
    """The packages with their licences: as the recipe says for package or source, else as they say themselves."""
    result = []
    with tempfile.TemporaryDirectory(prefix="mlbuild-licences-") as scratch:
        for package in packages:
            curated = recipe.licences.get(package.name) or recipe.licences.get(package.source)
            licence = curated or licence_of(read_deb(debs[package.sha256], Path(scratch)), package.name)
            result.append(package.model_copy(update={"licence": licence}))
    return tuple(result)


def _image(
    recipe: Recipe,
    architecture: Architecture,
    packages: tuple[LockedDeb, ...],
    debs: Mapping[str, Path],
    created: datetime,
    cache: Cache,
) -> LockedImage:
    with cache.fresh() as (blob, _):
        written = write_base_layer(recipe, packages, debs, created, blob)
    platform = Platform(os="linux", architecture=architecture)
    config = config_of(settings_of(recipe, created), platform, (written.diff_id,), created)
    manifest = manifest_of(config, [written.descriptor])
    return LockedImage(
        architecture=architecture,
        manifest=Digest.of(manifest.to_json()),
        config=manifest.config.digest,
        diff_ids=(written.diff_id,),
        size=written.descriptor.size,
        packages=packages,
    )


def _write(path: Path, name: str, lock: BaseLock) -> None:
    data = lock.model_dump(by_alias=True, exclude_none=True, mode="python")
    data["images"] = [
        {**image, "diff-ids": list(image["diff-ids"]), "packages": list(image["packages"])}
        for image in data["images"]
    ]
    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"Generated by `mlbuild base lock {name}`. Change base.yaml and run it again instead.")
    )
    document.update(data)
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
