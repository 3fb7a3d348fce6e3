"""The layers that an image will have, told from its lock before anything is made or downloaded."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from builder.bases.build import base_recipe
from builder.cache import Cache, Recipe, StoredLayer
from builder.image import app_recipe
from builder.inside import bytecode
from builder.layers.app import AppInput, find_files
from builder.layers.plan import MAX_LAYERS
from builder.lockfile import LockFile
from builder.models.layer import model_recipe
from builder.project_wheels import rules_of
from builder.spec import Spec
from builder.system.layer import system_recipe
from builder.wheel_plan import WheelJob, foreseen_plan, wheel_input
from compliance.bases import BaseDefinition
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient


class Part(StrEnum):
    """What of an image a layer is, in the order in which they lie, but for steps that run in between."""

    BASE = "base"
    SYSTEM = "system"
    WHEELS = "wheels"
    BYTECODE = "bytecode"
    MODEL = "model"
    STEP = "step"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer to be. `size` is in bytes: of its blob when that is in the cache, else of what it is made from.

    `digest` is known when it is in the cache. `in_registry` is None where nobody asked or it cannot be told.
    """

    part: Part
    contents: tuple[str, ...]
    size: int | None
    tar_size: int | None = None
    digest: Digest | None = None
    in_registry: bool | None = None

    @property
    def cached(self) -> bool:
        return self.digest is not None


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The layers from the bottom up. `settled` is False while a wheel that was not looked at may be split."""

    repository: str
    layers: tuple[PlannedLayer, ...]
    settled: bool
    most: int = MAX_LAYERS

    def ask(self, registry: RegistryClient) -> ImagePlan:
        """The same plan with what the registry has of it, in the image's repository."""
        asked = (
            replace(layer, in_registry=registry.blob_size(self.repository, layer.digest) is not None)
            if layer.digest is not None
            else layer
            for layer in self.layers
        )
        return replace(self, layers=tuple(asked))


def plan_image(
    spec: Spec,
    base: BaseDefinition,
    lock: LockFile,
    app: AppInput,
    cache: Cache,
) -> ImagePlan:
    """The layers that a build from this lock will make or take from the cache. Nothing is downloaded or made.

    Raises BuilderError and InvalidInput as `build_image` does for a plan that cannot be.
    """
    lower = list(_lower(spec, base, lock, cache))
    models = [
        _layer(Part.MODEL, [model.to], model_recipe(model, base.recipe.user, spec.compression), cache, model.size)
        for model in lock.models
    ]
    compiled = _compiled() if spec.bytecode else []
    rules = rules_of(spec, base, lock)
    wheels = [wheel_input(wheel.installed, cache) for wheel in lock.wheels]
    jobs, settled = foreseen_plan(wheels, rules, cache)
    own = app_recipe(app, cache, spec.compression)
    layers = (
        *lower,
        *(_wheels(job, cache) for job in jobs),
        *compiled,
        *models,
        *_steps(spec, "dependencies"),
        *([_project(app, own, cache)] if own is not None else []),
        *_steps(spec, "project"),
    )
    return ImagePlan(spec.image, layers, settled)


def _lower(spec: Spec, base: BaseDefinition, lock: LockFile, cache: Cache) -> Iterator[PlannedLayer]:
    yield _layer(Part.BASE, [base.name], base_recipe(base), cache, base.size)
    if lock.system is not None and lock.system.debs:
        recipe = system_recipe(base, lock.system, lock.pins.system, spec.compression)
        names = [f"{deb.name} {deb.version}" for deb in lock.system.debs]
        yield _layer(Part.SYSTEM, names, recipe, cache, sum(deb.size for deb in lock.system.debs))


def _wheels(job: WheelJob, cache: Cache) -> PlannedLayer:
    contents = [str(wheel) for wheel in job.layer.wheels]
    if job.layer.parts > 1:
        contents = [str(job.layer)]
    return _layer(Part.WHEELS, contents, job.recipe, cache, job.size)


def _compiled() -> list[PlannedLayer]:
    return [PlannedLayer(Part.BYTECODE, (f"of the wheels, in up to {bytecode.LAYERS} layers",), None)]


def _steps(spec: Spec, after: str) -> list[PlannedLayer]:
    return [PlannedLayer(Part.STEP, (shlex.join(step.run),), None) for step in spec.steps if step.after == after]


def _project(app: AppInput, recipe: Recipe, cache: Cache) -> PlannedLayer:
    files = find_files(app)
    size = sum(file.state.st_size for file in files)
    return _layer(Part.PROJECT, [f"{len(files)} files"], recipe, cache, size)


def _layer(part: Part, contents: Iterable[str], recipe: Recipe, cache: Cache, size: int | None) -> PlannedLayer:
    stored: StoredLayer | None = cache.layer(recipe)
    if stored is None:
        return PlannedLayer(part, tuple(contents), size)
    descriptor = stored.descriptor
    return PlannedLayer(part, tuple(contents), descriptor.size, stored.tar_size, descriptor.digest)
