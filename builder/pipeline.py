"""The main job, step by step: lock, judge the lock, build, write the evidence, judge the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from builder.app_reading import AppReading, models_of_app, read_app
from builder.bases import build_base
from builder.cache import Cache, prune
from builder.closure import check_closure
from builder.evidence import SignedEvidence, image_evidence, lock_evidence, sign_evidence
from builder.fetch import Artifact, arrived, fetching
from builder.image import BuiltImage, ImageLayer, app_layer, build_image
from builder.image_config import ImageSettings
from builder.inside.steps import left_by_steps
from builder.inside.work import InsideWork
from builder.layers.app import AppInput
from builder.layers.inputs import Environment, WheelInput
from builder.lock import LOCK_NAME, LockFile, is_current, lock_project, read_lock
from builder.lockfile import LockedWheel
from builder.models.asked import patterns_of_models
from builder.models.layer import model_layers
from builder.models.reading import read_models
from builder.moment import source_date
from builder.spec import Spec, find_spec, read_spec
from builder.state import State
from builder.system import system_layer
from builder.wheel_layers import LayerRules, making_ahead
from builder.workshop import Workshop
from compliance.bases import BaseDefinition
from compliance.evidence import Evidence, Subject
from compliance.inventory import ModelFile
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.policy.decision import Decision
from compliance.policy.evaluate import evaluate
from compliance.policy.releases import asks_yanked, release_limits


@dataclass(frozen=True)
class Project:
    """A directory with a spec in it. What is made goes to its `.mlbuild/`."""

    spec_path: Path
    spec: Spec

    @property
    def root(self) -> Path:
        return self.spec_path.parent

    @property
    def lock_path(self) -> Path:
        return self.root / LOCK_NAME

    @cached_property
    def state(self) -> State:
        return State.open(self.root / ".mlbuild")

    @property
    def app(self) -> AppInput:
        """The project's own files; what is a layer of its own as a model is not among them."""
        exclude = (*self.spec.app.exclude, *patterns_of_models(self.spec.models))
        return AppInput(self.root, self.spec.app.include, exclude)


@dataclass(frozen=True, slots=True)
class BuiltProject:
    """An image with its evidence, in an OCI layout. `repository` is where it belongs in a registry."""

    repository: str
    lock: LockFile
    layout: Layout
    image: BuiltImage
    evidence: SignedEvidence


def open_project(start: Path) -> Project:
    """The project whose spec is in `start` or above. Raises InvalidInput when there is none, or it is wrong."""
    path = find_spec(start)
    return Project(path, read_spec(path))


def settle_lock(project: Project, workshop: Workshop, *, upgrade: bool = False, resolve: bool = False) -> LockFile:
    """The lock that answers the spec: the present one when it does, else one resolved now.

    `resolve` asks the index in any case, `upgrade` lets versions move.
    """
    base = workshop.base(project.spec.base)
    if not (upgrade or resolve) and project.lock_path.exists():
        lock = read_lock(project.lock_path)
        current, reason = is_current(lock, project.spec, base)
        if current:
            return lock
        workshop.progress.step(reason)
    subject = Subject(project.spec.image, project.spec.stage)
    return lock_project(
        project.spec,
        project.spec_path,
        base,
        workshop.cache,
        workshop.progress,
        now=workshop.now,
        upgrade=upgrade,
        releases=release_limits(workshop.policies, subject, workshop.now),
        ask_yanked=asks_yanked(workshop.policies, subject),
        workers=workshop.settings.workers,
    )


def build(project: Project, workshop: Workshop, lock: LockFile | None = None) -> BuiltProject:
    """Build the image and sign its evidence: from `lock`, or the one that answers the spec.

    What is there already is not made again.
    """
    return _build(project, workshop, settle_lock(project, workshop) if lock is None else lock)


def check(project: Project, workshop: Workshop) -> Decision:
    """The verdict on the image as last built, or on the lock when something has changed since."""
    return evaluate(workshop.policies, known(project, workshop), workshop.at)


def known(project: Project, workshop: Workshop) -> Evidence:
    """What is known of the image as last built, or of the lock when something has changed since."""
    lock = settle_lock(project, workshop)
    if project.state.built_from == _inputs(project, workshop, lock):
        return _known_of_image(project, workshop, _build(project, workshop, lock))
    return _known_of_lock(project, workshop, lock)


def everything(project: Project, workshop: Workshop) -> Decision:
    """Lock, judge the lock, and when that does not refuse: build, and judge the image."""
    lock = settle_lock(project, workshop)
    if project.state.built_from != _inputs(project, workshop, lock):
        early = evaluate(workshop.policies, _known_of_lock(project, workshop, lock), workshop.at)
        if not early.lets_in:
            return early
    image = _known_of_image(project, workshop, _build(project, workshop, lock))
    return evaluate(workshop.policies, image, workshop.at)


def _build(project: Project, workshop: Workshop, lock: LockFile) -> BuiltProject:
    definition = workshop.base(project.spec.base)
    settings, cache, progress = workshop.settings, workshop.cache, workshop.progress
    artifacts = [Artifact(wheel.url, wheel.sha256, wheel.size, wheel.filename) for wheel in lock.wheels]
    wheels = [_wheel_input(wheel, cache) for wheel in lock.wheels]
    with fetching(artifacts, cache, progress, workers=settings.workers) as arrivals:
        base = build_base(definition, cache, progress, workers=settings.workers)
        system = system_layer(base, lock.system, lock.pins.system, cache, progress, workers=settings.workers)
        models = model_layers(
            lock.models, project.root, definition.recipe.user, cache, progress, workers=settings.workers
        )
        rules = LayerRules(len(base.layers) + (system is not None) + len(models), _environment(definition))
        with making_ahead(wheels, arrivals, rules, cache, progress):
            arrived(arrivals)
            if project.state.built_from != _inputs(project, workshop, lock):
                depends_on = {wheel.name: wheel.depends_on for wheel in lock.wheels}
                check_closure(
                    wheels,
                    depends_on,
                    definition,
                    [*base.layers, *([system.stored] if system is not None else [])],
                    cache,
                    progress,
                    variables=definition.recipe.environment | project.spec.env,
                    provided=project.spec.provided_libraries,
                )
    layout = Layout.create(project.state.directory / "image")
    image = build_image(
        base,
        wheels,
        project.app,
        _image_settings(project, lock),
        cache,
        layout,
        progress,
        environment=_environment(definition),
        system=system,
        models=models,
        inside=InsideWork(project.spec, base, definition, _image_settings(project, lock), cache, progress),
    )
    listed = _models(project, workshop, lock, image)
    evidence = sign_evidence(
        project.spec_path, project.spec, definition, lock, image, listed, project.state, settings
    )
    project.state.built_from = _inputs(project, workshop, lock)
    prune(cache, max_size=settings.cache_limit)
    return BuiltProject(project.spec.image, lock, layout, image, evidence)


def _known_of_lock(project: Project, workshop: Workshop, lock: LockFile) -> Evidence:
    workshop.progress.step(f"judging the lock: {len(lock.wheels)} packages, nothing downloaded")
    known = lock_evidence(
        project.spec,
        workshop.base(project.spec.base),
        lock,
        _image_settings(project, lock),
        _read_app(project, workshop, lock),
        workshop,
    )
    return workshop.sightings.mark(known, workshop.now)


def _known_of_image(project: Project, workshop: Workshop, built: BuiltProject) -> Evidence:
    workshop.progress.step(f"judging the image: {len(built.image.manifest.layers)} layers")
    known = image_evidence(
        project.spec,
        workshop.base(project.spec.base),
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
        env=tuple(sorted(spec.env.items())),
        entrypoint=spec.entrypoint,
        command=spec.command,
        ports=spec.ports,
        labels=tuple(sorted(spec.labels.items())),
        lock=lock.digest,
    )


def _wheel_input(wheel: LockedWheel, cache: Cache) -> WheelInput:
    """The wheel at the place that it has in the cache once it is fetched."""
    path = cache.path(Digest(f"sha256:{wheel.sha256}"))
    return WheelInput(path, wheel.name, wheel.version, wheel.sha256, wheel.direct, wheel.size)


def _environment(base: BaseDefinition) -> Environment:
    return Environment(prefix=base.prefix, python=base.python)


def _inputs(project: Project, workshop: Workshop, lock: LockFile) -> str:
    """Names everything the image is made from, to tell whether it is still the one that was built."""
    layer = app_layer(project.app, workshop.cache, workshop.progress)
    app = layer.diff_id if layer is not None else "none"
    return " ".join([lock.digest, Digest.of(project.spec_path.read_bytes()), app, source_date() or ""])
