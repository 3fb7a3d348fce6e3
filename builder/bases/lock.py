"""Locking a base: resolve, fetch, read licences, build, and write down what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import tomlkit

from builder.bases.archives import fetch_debs
from builder.bases.build import COMPRESSION, config_of, manifest_of, write_base_layer
from builder.bases.licences import licence_of, spelled
from builder.bases.resolve import ResolvedDeb, dependencies, resolve
from builder.cache import Cache
from builder.layers.deb import read_deb
from builder.progress import Progress
from compliance.base_files import (
    LOCK_FILE,
    RECIPE_FILE,
    Architecture,
    BaseLock,
    LockedDeb,
    LockedImage,
    Recipe,
    read_recipe,
)
from compliance.bases import BaseDefinition, read_base, settings_of
from compliance.document import nearest, read_model, to_model
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.manifest import Platform
from compliance.toml_document import read_toml_document

Content = tuple[tuple[LockedDeb, ...], Mapping[str, Path]]
"""The packages of one architecture, and their files by sha256."""


def lock_base(
    directory: Path, cache: Cache, progress: Progress, *, now: datetime, workers: int = 8
) -> tuple[BaseDefinition, ...]:
    """Lock the base in `directory` anew, for every architecture of its recipe, and return what is locked.

    `now` becomes the time of everything in the base, unless the base would be at the time of the present
    lock what it is there: then it keeps that time and its digest. Raises InvalidInput for licences in the
    recipe that are none, Unavailable when apt or the archives cannot be used.
    """
    recipe, recipe_digest = read_recipe(directory)
    curated = _curated(directory, recipe)
    created = now.astimezone(UTC).replace(microsecond=0)
    chosen: dict[Architecture, tuple[LockedDeb, ...]] = {}
    for architecture in recipe.architectures:
        progress.step(f"Resolve the Debian packages of {recipe.name} for {architecture}")
        chosen[architecture] = _resolved(recipe, architecture)
    _check_named(directory, curated, chosen)
    contents: dict[Architecture, Content] = {}
    for architecture, packages in chosen.items():
        debs = fetch_debs(recipe, packages, created, cache, progress, workers=workers)
        progress.step(f"Extract {len(packages)} Debian packages for {architecture}")
        contents[architecture] = (licensed(curated, packages, debs, progress), debs)
    before = _previous(directory)
    images = () if before is None else _images(recipe, contents, before.created, cache)
    if before is not None and _still(before, images):
        created = before.created
    else:
        images = _images(recipe, contents, created, cache)
    lock = BaseLock(
        lock_version=1, recipe=recipe_digest, created=created, compressor=COMPRESSION.writer, images=images
    )
    _write(directory / LOCK_FILE, recipe.name, lock)
    return read_base(directory)


def _curated(directory: Path, recipe: Recipe) -> dict[str, str]:
    """The licences of the recipe in SPDX's spelling. Raises InvalidInput, with its line, for what is not SPDX."""
    found = {}
    for name, licence in recipe.licences.items():
        try:
            found[name] = spelled(licence)
        except ValueError as error:
            raise InvalidInput(
                f"the licence of {name}, {licence!r}, is not an SPDX expression: {error}",
                at=_where(directory, name),
                remedy="Use the identifiers of spdx.org/licenses, or a name of your own: LicenseRef-...",
            ) from error
    return found


def _check_named(
    directory: Path, curated: Mapping[str, str], chosen: Mapping[Architecture, Sequence[LockedDeb]]
) -> None:
    """Raise InvalidInput for a licence that would be nobody's: its name may be mistyped, or of an older suite."""
    packages = [package for packages in chosen.values() for package in packages]
    names = {package.name for package in packages} | {package.source for package in packages}
    for name in curated:
        if name not in names:
            near = nearest(name, sorted(names))
            raise InvalidInput(
                f"a licence is given for {name}, which is no package of the base and the source of none"
                + (f"; did you mean {near!r}?" if near else ""),
                at=_where(directory, name),
                remedy="Mend the name or remove the line.",
            )


def _where(directory: Path, name: str) -> Location:
    _, document = read_model(directory / RECIPE_FILE, Recipe)
    return document.where(("licences", name))


def _previous(directory: Path) -> BaseLock | None:
    """The lock there is, of this recipe or another; one that is broken will be replaced."""
    try:
        return to_model(read_toml_document(directory / LOCK_FILE), BaseLock)
    except InvalidInput:
        return None


def _still(before: BaseLock, images: Sequence[LockedImage]) -> bool:
    """Whether every architecture that both have is the same base in both, its settings included."""
    locked = {image.architecture: image.config for image in before.images}
    known = [image for image in images if image.architecture in locked]
    return bool(known) and all(image.config == locked[image.architecture] for image in known)


def _resolved(recipe: Recipe, architecture: str) -> tuple[LockedDeb, ...]:
    packages = resolve(recipe, architecture)
    return tuple(locked_deb(package, dependencies(package, packages)) for package in packages)


def locked_deb(package: ResolvedDeb, depends: tuple[str, ...]) -> LockedDeb:
    """A resolved package as a lock pins it, its licence still open."""
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


def licensed(
    curated: Mapping[str, str], packages: Sequence[LockedDeb], debs: Mapping[str, Path], progress: Progress
) -> tuple[LockedDeb, ...]:
    """The packages with their licences: as the recipe says for package or source, else as they say themselves."""
    result = []
    with tempfile.TemporaryDirectory(prefix="mlbuild-licences-") as scratch:
        for package in packages:
            known = curated.get(package.name) or curated.get(package.source)
            licence = known or licence_of(read_deb(debs[package.sha256], Path(scratch)), package.name)
            result.append(package.model_copy(update={"licence": licence}))
    silent = sorted(package.name for package in result if package.licence is None)
    if silent:
        progress.step(f"No licence can be read for {', '.join(silent)}: say it in the recipe, under licences")
    return tuple(result)


def _images(
    recipe: Recipe, contents: Mapping[Architecture, Content], created: datetime, cache: Cache
) -> tuple[LockedImage, ...]:
    return tuple(
        _image(recipe, architecture, packages, debs, created, cache)
        for architecture, (packages, debs) in contents.items()
    )


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
