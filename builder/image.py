"""From a base, locked wheels and a project to an image: layers, config and manifest in an OCI layout.

Each layer is made once for its inputs and kept in the cache; the image only names them. So a second build
with nothing changed looks at files' states and writes a few small documents, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from builder.cache import Cache, Recipe, StoredLayer
from builder.errors import BuilderError
from builder.image_config import ImageSettings, image_config, runtime_config
from builder.layers.app import AppFile, AppInput, app_entries, app_inputs, find_files
from builder.layers.inputs import Environment, WheelInput
from builder.layers.tar import Compression, write_layer
from builder.progress import Progress
from builder.wheel_layers import make_wheel_layers
from builder.wheel_plan import LayerRules, WheelJob, settled_plan
from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest
from compliance.oci.layout import REFERENCE_NAME, Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
)

__all__ = [
    "BaseImage",
    "BuiltImage",
    "ImageLayer",
    "ImageSettings",
    "Inside",
    "app_layer",
    "assemble",
    "build_image",
    "image_layer",
    "runtime_config",
    "wheel_layers",
]


class BaseImage(Protocol):
    """A base that was built: its config, and its layers from the bottom up."""

    @property
    def layers(self) -> Sequence[StoredLayer]: ...

    @property
    def config(self) -> ImageConfig: ...


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One layer of an image and what is in it: the names and versions of wheels, sorted; else `contents` in words.

    `ecosystem` is whose packages it holds, if it holds any; `model` is the path of the one model that it is.
    """

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int
    path: Path
    origin: Origin
    packages: tuple[tuple[str, str], ...] = ()
    ecosystem: Ecosystem = Ecosystem.PYPI
    contents: str = ""
    model: str = ""

    @property
    def stored(self) -> StoredLayer:
        """The layer as the cache knows it."""
        return StoredLayer(self.descriptor, self.diff_id, self.tar_size, self.path)


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in a layout. `layers` are those above the base, from the bottom up."""

    descriptor: Descriptor
    config_digest: Digest
    config: ImageConfig
    manifest: Manifest
    layers: tuple[ImageLayer, ...]

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def system_layer(self) -> Digest | None:
        """The diffID of the layer that holds the project's Debian packages."""
        return next((layer.diff_id for layer in self.layers if layer.ecosystem is Ecosystem.DEBIAN), None)

    @property
    def layer_of_model(self) -> Mapping[str, Digest]:
        """The diffID of the layer that is a model, by the model's path."""
        return {layer.model: layer.diff_id for layer in self.layers if layer.model}

    @property
    def layer_of(self) -> Mapping[str, Digest]:
        """The diffID of the layer that holds a Python package, by its normalised name."""
        return {name: layer.diff_id for layer in self.layers for name, _ in layer.packages}


class Inside(Protocol):
    """What runs inside the image while it is made, and the layers that it leaves."""

    @property
    def layers(self) -> int:
        """How many layers it may add."""

    def bytecode(self, wheels: Sequence[WheelInput]) -> Sequence[ImageLayer]:
        """The bytecode of wheels, which stand in the order in which they are laid over each other."""

    def steps(self, below: Sequence[ImageLayer], *, with_project: bool) -> Sequence[ImageLayer]:
        """What the spec's steps leave: those that run with the project's files in the image, or without."""


def build_image(
    base: BaseImage,
    wheels: Iterable[WheelInput],
    app: AppInput | None,
    settings: ImageSettings,
    cache: Cache,
    layout: Layout,
    progress: Progress,
    *,
    environment: Environment = Environment(),  # noqa: B008 - frozen
    compression: Compression = Compression.GZIP,
    workers: int | None = None,
    system: ImageLayer | None = None,
    models: Sequence[ImageLayer] = (),
    inside: Inside | None = None,
) -> BuiltImage:
    """Make the image in `layout` and its index. The same inputs give the same digest on any machine.

    Right above the base lies `system`, the layer of Debian packages; between wheels and project, `models`.
    `inside` adds bytecode above the wheels, and steps below and above the project.

    Raises BuilderError for a wheel that cannot be installed as locked, InvalidInput for a project that
    cannot be taken as it is.
    """
    lower = [system] if system is not None else []
    rules = LayerRules(
        len(base.layers) + len(lower) + len(models) + (inside.layers if inside is not None else 0),
        environment,
        compression,
    )
    jobs = settled_plan(tuple(wheels), rules, cache)
    layers = [*lower, *wheel_layers(jobs, cache, progress, workers=workers)]
    if inside is not None:
        layers += inside.bytecode([wheel for job in jobs for wheel in job.layer.completes])
    layers += models
    if inside is not None:
        layers += inside.steps(layers, with_project=False)
    own = app_layer(app, cache, progress, compression=compression) if app is not None else None
    if own is not None:
        layers.append(own)
    if inside is not None:
        layers += inside.steps(layers, with_project=True)
    return assemble(base, layers, settings, layout)


def app_layer(
    app: AppInput, cache: Cache, progress: Progress, *, compression: Compression = Compression.GZIP
) -> ImageLayer | None:
    """The layer of the project's files; None when there are no files. Raises InvalidInput as find_files does."""
    files = _with_digests(app, cache)
    if not files:
        return None
    recipe = Recipe("app", app_inputs(files), compression=compression)
    if cache.layer(recipe) is None:
        progress.step(f"Making the layer of the project's files: {len(files)}")
    stored = cache.make_layer(recipe, lambda blob: write_layer(app_entries(files), blob, compression=compression))
    return image_layer(stored, Origin.APP)


def wheel_layers(
    jobs: Sequence[WheelJob], cache: Cache, progress: Progress, *, workers: int | None = None
) -> list[ImageLayer]:
    """The layers of a plan, each made unless it is in the cache. Raises BuilderError as build_image does."""
    return [*map(_wheel_layer, jobs, make_wheel_layers(jobs, cache, progress, workers=workers))]


def app_recipe(app: AppInput, cache: Cache, compression: Compression = Compression.GZIP) -> Recipe | None:
    """What the layer of the project's files is made from; None when there are no files."""
    files = _with_digests(app, cache)
    return Recipe("app", app_inputs(files), compression=compression) if files else None


def _with_digests(app: AppInput, cache: Cache) -> list[tuple[AppFile, Digest]]:
    return [(file, Digest.of(b"") if file.target else cache.digest_of(file.source)) for file in find_files(app)]


def _wheel_layer(job: WheelJob, stored: StoredLayer) -> ImageLayer:
    contents = str(job.layer) if job.layer.parts > 1 else ""
    return image_layer(stored, Origin.DEPENDENCY, packages=job.packages, contents=contents)


def image_layer(
    stored: StoredLayer,
    origin: Origin,
    *,
    packages: tuple[tuple[str, str], ...] = (),
    ecosystem: Ecosystem = Ecosystem.PYPI,
    contents: str = "",
    model: str = "",
) -> ImageLayer:
    """A layer of the cache as a layer of an image; see ImageLayer for what the words mean."""
    placed = (stored.descriptor, stored.diff_id, stored.tar_size, stored.path)
    return ImageLayer(*placed, origin, packages, ecosystem, contents, model)


def assemble(base: BaseImage, layers: Sequence[ImageLayer], settings: ImageSettings, layout: Layout) -> BuiltImage:
    """Write the image of the base and the layers above it, and make it the only one of the layout."""
    if base.config.rootfs.diff_ids != tuple(layer.diff_id for layer in base.layers):
        raise BuilderError("the base's config and layers disagree", remedy="Build the base again.")
    with layout.alone():
        return _assemble(base, layers, settings, layout)


def _assemble(
    base: BaseImage, layers: Sequence[ImageLayer], settings: ImageSettings, layout: Layout
) -> BuiltImage:
    stack: list[StoredLayer | ImageLayer] = [*base.layers, *layers]
    for layer in stack:
        _link(layout, layer.path, layer.descriptor)
    config = image_config(base.config, [(layer.diff_id, _contents(layer)) for layer in layers], settings)
    config_descriptor = layout.write_bytes(config.to_json(), OCI_CONFIG)
    manifest = Manifest(
        config=config_descriptor,
        layers=tuple(layer.descriptor for layer in stack),
    )
    written = layout.write_bytes(manifest.to_json(), OCI_MANIFEST)
    descriptor = written.model_copy(
        update={
            "platform": Platform(os=config.os, architecture=config.architecture, variant=config.variant),
            "annotations": {REFERENCE_NAME: settings.reference},
        }
    )
    layout.write_index((descriptor,))
    layout.remove_unreferenced()
    return BuiltImage(descriptor, config_descriptor.digest, config, manifest, tuple(layers))


def _link(layout: Layout, source: Path, descriptor: Descriptor) -> None:
    """Put a blob of the cache into the layout, in place of one that is not, or no longer, the same."""
    target = layout.path(descriptor.digest)
    try:
        there, here = target.stat(), source.stat()
        linkable = there.st_dev == here.st_dev
        if there.st_size != descriptor.size or (linkable and there.st_ino != here.st_ino):
            target.unlink()
    except FileNotFoundError:
        pass
    layout.add_file(source, descriptor.digest)


def _contents(layer: ImageLayer) -> str:
    if layer.contents:
        return layer.contents
    if layer.origin is Origin.APP:
        return "project files"
    return " ".join(f"{name}=={version}" for name, version in layer.packages)
