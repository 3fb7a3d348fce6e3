"""A spec's own steps: commands run inside the image while it is built. What each leaves is one layer.

A step's layer is kept under everything the step could see: the layers below, the command, its user and
environment, and whether it had the network. What a step does need not be the same twice, so another machine
may get another layer; the provenance says that a step ran, and which layer it left.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from builder import spec
from builder.cache import Cache, Recipe, StoredLayer
from builder.errors import BuilderError
from builder.image import BaseImage, ImageLayer, ImageSettings, runtime_config
from builder.inside.changes import changes, read_tree
from builder.inside.sandbox import ENVIRONMENT, Failed, open_sandbox
from builder.layers.tar import Compression, Entry, WrittenLayer, write_layer
from builder.progress import Progress
from compliance.errors import InvalidInput
from compliance.inventory import Origin

_METADATA: Final = re.compile(r"(?:.*/)?(?P<name>[^/]+)\.(?:dist-info/METADATA|egg-info/PKG-INFO)")


_BRIEF: Final = 72  # characters


@dataclass(frozen=True, slots=True)
class Step:
    """A command to run inside the image: words, no shell. `user` is the image's own where it is None."""

    command: tuple[str, ...]
    network: bool = False
    user: str | None = None

    def __str__(self) -> str:
        return shlex.join(self.command)

    @property
    def brief(self) -> str:
        """The command on one line, cut short."""
        text = " ".join(str(self).split())
        return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"

    def contents(self, number: int) -> str:
        """What the image's history says of the layer it leaves, as step `number` of the spec."""
        return f"step {number}: {self}"


_CONTENTS: Final = re.compile(r"step [0-9]+: ")


def left_by_steps(layers: Iterable[ImageLayer]) -> Iterator[ImageLayer]:
    """Those of an image's layers that steps left."""
    return (layer for layer in layers if _CONTENTS.match(layer.contents))


def as_step(wanted: spec.Step) -> Step:
    """A step as the spec has it, to be run."""
    return Step(wanted.run, wanted.network, wanted.user)


def step_layers(
    steps: Sequence[Step],
    base: BaseImage,
    below: Sequence[ImageLayer],
    settings: ImageSettings,
    cache: Cache,
    progress: Progress,
    *,
    first: int = 1,
    compression: Compression = Compression.GZIP,
) -> list[ImageLayer]:
    """The layers that the steps leave, one each, on top of `below`; a step that was run before is not run again.

    `first` is the number of the first of them in the spec. Raises InvalidInput for a step that fails, or
    leaves what no image may hold.
    """
    layers = list(below)
    for number, step in enumerate(steps, first):
        recipe = _recipe(step, base, layers, settings, compression)
        stored = cache.layer(recipe)
        if stored is None:
            reach = "with network access" if step.network else "without network"
            progress.step(f"Running step {number} in the image, {reach}: {step.brief}")
            with _blaming(number, step):
                stored = _run(step, recipe, base, layers, settings, cache)
        layers.append(_layer(step.contents(number), stored))
    return layers[len(below) :]


def _recipe(
    step: Step, base: BaseImage, below: Sequence[ImageLayer], settings: ImageSettings, compression: Compression
) -> Recipe:
    runtime = runtime_config(base.config.config, settings)
    seen = [list(step.command), step.network, step.user or runtime.user, list(runtime.env or ()), ENVIRONMENT]
    layers = (*(layer.diff_id for layer in base.layers), *(layer.diff_id for layer in below))
    return Recipe("step", (*layers, json.dumps([*seen, runtime.working_dir])), compression=compression)


def _run(
    step: Step,
    recipe: Recipe,
    base: BaseImage,
    below: Sequence[ImageLayer],
    settings: ImageSettings,
    cache: Cache,
) -> StoredLayer:
    with open_sandbox(base, below, settings, cache, network=step.network) as sandbox:
        before = read_tree(sandbox)
        sandbox.run(step.command, user=step.user, network=step.network)
        with changes(sandbox, before) as entries:
            _refuse_packages(entries)

            def write(blob: BinaryIO) -> WrittenLayer:
                return write_layer(entries, blob, compression=recipe.compression)

            return cache.make_layer(recipe, write)


def _refuse_packages(entries: Sequence[Entry]) -> None:
    for entry in entries:
        match = _METADATA.fullmatch(entry.path)
        if match is not None:
            raise BuilderError(
                f"it installs the Python package {match['name']}, which is in no lock",
                remedy="Put it among the requirements.",
            )


@contextmanager
def _blaming(number: int, step: Step) -> Iterator[None]:
    """What goes wrong inside the block is told as this step's fault."""
    try:
        yield
    except Failed as error:
        remedy = "Mend the command, or the spec that names it."
        if not step.network:
            remedy += " It had no network: write `network: true` in the step when it needs one."
        raise InvalidInput(
            f"step {number}, {step.brief}, ended with exit code {error.code}:\n{error.tail}", remedy=remedy
        ) from error
    except BuilderError as error:
        raise InvalidInput(f"step {number}, {step.brief}: {error.message}", remedy=error.remedy) from error


def _layer(contents: str, stored: StoredLayer) -> ImageLayer:
    return ImageLayer(
        stored.descriptor,
        stored.diff_id,
        stored.tar_size,
        stored.path,
        Origin.APP,
        contents=contents,
    )
