"""One image, for one platform: built from its lock, its evidence signed, and what is known of it for policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from builder.app_reading import AppReading, models_of_app, read_app
from builder.bases.build import BuiltBase, build_base
from builder.cache import StoredLayer, prune
from builder.closure import check_closure
from builder.cuda import required_driver
from builder.evidence import SignedEvidence, image_evidence, lock_evidence, sign_evidence
from builder.fetch import Artifact, arrived, fetch, fetching
from builder.image import BuiltImage, ImageLayer, app_layer, build_image
from builder.image_config import ImageSettings
from builder.inside.steps import left_by_steps
from builder.inside.work import InsideWork
from builder.layers.wheel import WheelInput
from builder.lockfile import LockFile
from builder.models.layer import model_layers
from builder.models.reading import read_models
from builder.moment import source_date
from builder.project import Project
from builder.project_wheels import needed_wheels, rules_of
from builder.sdists.needed import as_wheels, opening
from builder.system.layer import system_layer
from builder.wheel_layers import making_ahead
from builder.wheel_plan import wheel_input
from builder.workshop import Workshop
from compliance.evidence import Absent, Evidence
from compliance.inventory import ModelFile
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class BuiltProject:
    """An image with its evidence, in an OCI layout. `repository` is where it belongs in a registry.

    Where a project is for several platforms, this is the image of the first, `further` are the others, each in
    a layout of its own, and `index` describes what names them all, which is in `index_layout`.
    """

    repository: str
    lock: LockFile
    layout: Layout
    image: BuiltImage
    evidence: SignedEvidence
    further: tuple[BuiltProject, ...] = ()
    index: Descriptor | None = None
    index_layout: Layout | None = None

    @property
    def each(self) -> tuple[BuiltProject, ...]:
        """The image of each platform."""
        return self, *self.further

    @property
    def digest(self) -> Digest:
        """What a registry knows the whole by: the digest of the index, or of the only image."""
        return self.index.digest if self.index is not None else self.image.digest


def build_image_of(project: Project, workshop: Workshop, lock: LockFile) -> BuiltProject:
    """Build the image from its lock and sign its evidence. What is there already is not made again."""
    definition = workshop.base(project.spec.base, project.architecture)
    settings, cache, progress = workshop.settings, workshop.cache, workshop.progress
    inputs = inputs_of(project, workshop, lock)
    changed = project.state.built_from != inputs
    wheels = [wheel_input(package.installed, cache) for package in lock.wheels]
    rules = rules_of(project.spec, definition, lock)
    builder = opening(definition, cache, progress, workers=settings.workers, allowed=settings.sdist)

    def to_fetch() -> list[Artifact]:
        needed = needed_wheels(wheels, project.spec, definition, rules, cache)
        fetched = as_wheels(lock.wheels, needed, builder)
        return [Artifact(wheel.url, wheel.sha256, wheel.size, wheel.filename) for wheel in fetched]

    with fetching(to_fetch(), cache, progress, workers=settings.workers) as arrivals:
        base = build_base(definition, cache, progress, workers=settings.workers)
        system = _system_layer(project, workshop, lock, base)
        models = _model_layers(project, workshop, lock, base)
        with making_ahead(wheels, arrivals, rules, cache, progress):
            arrived(arrivals)
        if changed:
            below = [*base.layers, *([system.stored] if system is not None else [])]
            _check_closure(project, workshop, lock, wheels, below)
    fetch(to_fetch(), cache, progress, workers=settings.workers)  # now that all are measured the plan is certain
    layout = Layout.create(project.state.directory / "image")
    image = build_image(
        base,
        wheels,
        project.app,
        _image_settings(project, lock),
        cache,
        layout,
        progress,
        environment=rules.environment,
        compression=project.spec.compression,
        system=system,
        models=models,
        inside=InsideWork(project.spec, base, definition, _image_settings(project, lock), cache, progress),
    )
    listed = _models(project, workshop, lock, image)
    evidence = sign_evidence(
        project.spec_path, project.spec, definition, lock, image, listed, project.state, settings
    )
    if changed:  # else nothing was added
        prune(cache, max_size=settings.cache_limit)
        project.state.built_from = inputs
    return BuiltProject(project.spec.image, lock, layout, image, evidence)


def _system_layer(project: Project, workshop: Workshop, lock: LockFile, base: BuiltBase) -> ImageLayer | None:
    return system_layer(
        base,
        lock.system,
        lock.pins.system,
        workshop.cache,
        workshop.progress,
        workers=workshop.settings.workers,
        compression=project.spec.compression,
    )


def _model_layers(project: Project, workshop: Workshop, lock: LockFile, base: BuiltBase) -> tuple[ImageLayer, ...]:
    return model_layers(
        lock.models,
        project.root,
        base.definition.recipe.user,
        workshop.cache,
        workshop.progress,
        workers=workshop.settings.workers,
        compression=project.spec.compression,
    )


def _check_closure(
    project: Project,
    workshop: Workshop,
    lock: LockFile,
    wheels: Sequence[WheelInput],
    below: Sequence[StoredLayer],
) -> None:
    """Raise InvalidInput when a wheel could not be loaded above the layers `below`."""
    definition = workshop.base(project.spec.base, project.architecture)
    check_closure(
        wheels,
        {wheel.name: wheel.depends_on for wheel in lock.wheels},
        definition,
        below,
        workshop.cache,
        workshop.progress,
        variables=definition.recipe.environment | project.spec.env,
        provided=project.spec.provided_libraries,
    )


def known_of_lock(project: Project, workshop: Workshop, lock: LockFile) -> Evidence:
    """What is known of the image before a wheel of it is downloaded."""
    workshop.progress.step(f"judging the lock: {len(lock.wheels)} packages, nothing downloaded")
    known = lock_evidence(
        project.spec,
        workshop.base(project.spec.base, project.architecture),
        lock,
        _image_settings(project, lock),
        _read_app(project, workshop, lock),
        workshop,
    )
    return workshop.sightings.mark(known, workshop.now)


def known_by_lock_alone(project: Project, workshop: Workshop, lock: LockFile) -> Evidence:
    """What spec and lock tell of an image whose files are not here; what only they would tell is pending."""
    definition = workshop.base(project.spec.base, project.architecture)
    settings = _image_settings(project, lock)
    known = lock_evidence(project.spec, definition, lock, settings, AppReading(), workshop)
    files = Absent("the project's files are not looked at", pending=True)
    return workshop.sightings.mark(replace(known, secrets=files, models=files), workshop.now)


def known_of_image(project: Project, workshop: Workshop, built: BuiltProject) -> Evidence:
    """What is known of the image once it is built."""
    workshop.progress.step(f"judging the image: {len(built.image.manifest.layers)} layers")
    known = image_evidence(
        project.spec,
        workshop.base(project.spec.base, project.architecture),
        built.lock,
        built.image,
        built.evidence,
        _read_app(project, workshop, built.lock, built.image),
        workshop,
    )
    return workshop.sightings.mark(known, workshop.now)


def _read_app(project: Project, workshop: Workshop, lock: LockFile, image: BuiltImage | None = None) -> AppReading:
    layer_of = image.layer_of_model if image is not None else None
    declared = read_models(lock.models, project.root, workshop.cache, layer_of)
    return read_app(
        _own_layers(project, workshop, image), declared, workshop.trivy, project.state.directory / "app"
    )


def _models(project: Project, workshop: Workshop, lock: LockFile, image: BuiltImage) -> tuple[ModelFile, ...]:
    """Every model file of a built image, as its SBOM lists them."""
    declared = read_models(lock.models, project.root, workshop.cache, image.layer_of_model)
    own = models_of_app(_own_layers(project, workshop, image), project.state.directory / "app")
    return (*own, *declared.files)


def _own_layers(project: Project, workshop: Workshop, image: BuiltImage | None) -> tuple[ImageLayer, ...]:
    """The layer of the project's files, and once there is an image those that its steps left."""
    layer = app_layer(project.app, workshop.cache, workshop.progress)
    own = {layer.diff_id} if layer is not None else set()
    if image is None:
        return (layer,) if layer is not None else ()
    own |= {left.diff_id for left in left_by_steps(image.layers)}
    return tuple(layer for layer in image.layers if layer.diff_id in own)


def _image_settings(project: Project, lock: LockFile) -> ImageSettings:
    spec = project.spec
    return ImageSettings(
        reference=spec.image,
        created=source_date(),
        user=spec.user,
        env=tuple(sorted((required_driver(spec.accelerator, lock.wheels) | spec.env).items())),
        entrypoint=spec.entrypoint,
        command=spec.command,
        ports=spec.ports,
        labels=tuple(sorted(spec.labels.items())),
        lock=lock.digest,
    )


def inputs_of(project: Project, workshop: Workshop, lock: LockFile) -> str:
    """Names everything the image is made from, to tell whether it is still the one that was built."""
    layer = app_layer(project.app, workshop.cache, workshop.progress)
    app = layer.diff_id if layer is not None else "none"
    return " ".join([lock.digest, Digest.of(project.spec_path.read_bytes()), app, source_date() or ""])
