"""From the lock of a base to the base: fetch the packages by hash, extract them into one layer, compare."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from builder.bases.archives import fetch_debs
from builder.bases.rootfs import root_filesystem
from builder.cache import Cache, StoredLayer
from builder.cache import Recipe as LayerRecipe
from builder.errors import BuilderError
from builder.layers.deb import Deb, read_deb
from builder.layers.tar import Compression, WrittenLayer, write_layer
from builder.progress import Progress
from compliance.base_files import LockedDeb, Recipe
from compliance.bases import BaseDefinition
from compliance.inventory import Settings
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    Descriptor,
    History,
    ImageConfig,
    Manifest,
    Platform,
    RootFs,
    RuntimeConfig,
)

COMPRESSION: Final = Compression.GZIP
"""gzip, since every client there is can read it."""


@dataclass(frozen=True, slots=True)
class BuiltBase:
    """A base whose layers are in the cache. `layers` are from the bottom up."""

    definition: BaseDefinition
    layers: tuple[StoredLayer, ...]
    config: ImageConfig

    @property
    def manifest(self) -> Manifest:
        return manifest_of(self.config, [layer.descriptor for layer in self.layers])

    def write(self, directory: Path) -> Descriptor:
        """Write the base as an OCI layout of its own and describe its manifest."""
        layout = Layout.create(directory)
        for layer in self.layers:
            layout.add_file(layer.path, layer.descriptor.digest)
        layout.write_bytes(self.config.to_json(), OCI_CONFIG)
        stored = layout.write_bytes(self.manifest.to_json(), self.manifest.media_type)
        described = stored.model_copy(update={"platform": self.definition.platform})
        layout.write_index([described])
        return described


def build_base(definition: BaseDefinition, cache: Cache, progress: Progress, *, workers: int = 8) -> BuiltBase:
    """The base of a lock; made at most once a cache. Needs neither root nor any tool of Debian.

    Raises Unavailable or BuilderError when a package cannot be had as locked, and BuilderError when the
    result is not what the lock says.
    """
    image = definition.image
    recipe = base_recipe(definition)
    stored = cache.layer(recipe)
    if stored is None:
        debs = fetch_debs(definition.recipe, image.packages, definition.created, cache, progress, workers=workers)
        progress.step(f"Extract {len(image.packages)} Debian packages into the base {definition.name}")
        stored = cache.make_layer(
            recipe,
            lambda blob: _checked(
                write_base_layer(definition.recipe, image.packages, debs, definition.created, blob), definition
            ),
        )
    config = config_of(definition.settings, definition.platform, (stored.diff_id,), definition.created)
    if Digest.of(config.to_json()) != image.config:
        raise _mismatch(definition.name, "its settings differ")
    built = BuiltBase(definition, (stored,), config)
    if Digest.of(built.manifest.to_json()) != image.manifest:
        progress.step(
            f"The base {definition.name} has the locked content, compressed otherwise than in the lock: "
            f"by {COMPRESSION.writer}, there by {definition.compressor}"
        )
    return built


def base_recipe(definition: BaseDefinition) -> LayerRecipe:
    """What the base's layer is made from."""
    image = definition.image
    inputs = (*image.diff_ids, *(package.sha256 for package in image.packages))
    return LayerRecipe(
        "debian", tuple(str(part) for part in inputs), definition.prefix, definition.python, COMPRESSION
    )


def write_base_layer(
    recipe: Recipe, packages: Sequence[LockedDeb], debs: Mapping[str, Path], created: datetime, blob: BinaryIO
) -> WrittenLayer:
    """Extract the packages and write the base's one layer. `debs` are the package files by sha256.

    Raises BuilderError when a file is not the package that the lock names, or packages do not fit together.
    """
    with tempfile.TemporaryDirectory(prefix="mlbuild-base-") as scratch:
        unpacked = [(package, read_locked(package, debs[package.sha256], Path(scratch))) for package in packages]
        entries = root_filesystem(recipe, unpacked)
        return write_layer(entries, blob, mtime=int(created.timestamp()), compression=COMPRESSION)


def read_locked(package: LockedDeb, path: Path, scratch: Path) -> Deb:
    """The package at `path`, which must be the one that is locked. Raises BuilderError as read_deb does."""
    from debian.deb822 import Deb822  # imported for a base that is made, since that is once

    deb = read_deb(path, scratch)
    control = Deb822(deb.control)
    for field, locked in (
        ("Package", package.name),
        ("Version", package.version),
        ("Architecture", package.architecture),
    ):
        if control.get(field) != locked:
            raise BuilderError(
                f"the file locked as {package.name} {package.version} says its {field} is {control.get(field)!r}",
                remedy="Lock again.",
            )
    return deb


def config_of(
    settings: Settings, platform: Platform, diff_ids: Sequence[Digest], created: datetime
) -> ImageConfig:
    """The image config of a base with these layers."""
    at = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    runtime = RuntimeConfig(
        user=settings.user,
        env=settings.environment,
        working_dir=settings.working_dir,
        labels=dict(settings.labels),
    )
    return ImageConfig(
        created=at,
        architecture=platform.architecture,
        os=platform.os,
        config=runtime,
        rootfs=RootFs(diff_ids=tuple(diff_ids)),
        history=tuple(History(created=at, created_by="mlbuild base build") for _ in diff_ids),
    )


def manifest_of(config: ImageConfig, layers: Sequence[Descriptor]) -> Manifest:
    """The manifest of a base with this config and these layers."""
    raw = config.to_json()
    described = Descriptor(media_type=OCI_CONFIG, digest=Digest.of(raw), size=len(raw))
    return Manifest(config=described, layers=tuple(layers))


def _checked(written: WrittenLayer, definition: BaseDefinition) -> WrittenLayer:
    if (written.diff_id,) != definition.image.diff_ids:
        raise _mismatch(
            definition.name, f"its layer is {written.diff_id}, the lock says {definition.image.diff_ids[0]}"
        )
    return written


def _mismatch(name: str, how: str) -> BuilderError:
    return BuilderError(
        f"the base {name} does not match its lock: {how}",
        remedy="The lock was edited, or is of another version of mlbuild. "
        f"Run `mlbuild base lock {name}` and review what changes.",
    )
