"""All that a spec wants done inside its image, bound to a base: what `build_image` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.cache import Cache
from builder.image import BaseImage, ImageLayer, ImageSettings
from builder.inside import bytecode
from builder.inside.steps import as_step, step_layers
from builder.layers.inputs import Environment, WheelInput
from builder.progress import Progress
from builder.spec import Spec
from compliance.bases import BaseDefinition


def layers_inside(spec: Spec) -> int:
    """How many layers what runs inside the image may add."""
    return len(spec.steps) + (bytecode.LAYERS if spec.bytecode else 0)


@dataclass(frozen=True, slots=True)
class InsideWork:
    """The bytecode and steps of `spec`, on `base`, which was built from `definition`."""

    spec: Spec
    base: BaseImage
    definition: BaseDefinition
    settings: ImageSettings
    cache: Cache
    progress: Progress

    @property
    def layers(self) -> int:
        return layers_inside(self.spec)

    def bytecode(self, wheels: Sequence[WheelInput]) -> Sequence[ImageLayer]:
        if not self.spec.bytecode:
            return ()
        environment = Environment(self.definition.prefix, self.definition.python)
        return bytecode.bytecode_layers(
            wheels,
            self.base,
            self.definition.digest,
            environment,
            self.cache,
            self.progress,
            compression=self.spec.compression,
        )

    def steps(self, below: Sequence[ImageLayer], *, with_project: bool) -> Sequence[ImageLayer]:
        early = [as_step(step) for step in self.spec.steps if step.after == "dependencies"]
        late = [as_step(step) for step in self.spec.steps if step.after == "project"]
        return step_layers(
            late if with_project else early,
            self.base,
            below,
            self.settings,
            self.cache,
            self.progress,
            first=len(early) + 1 if with_project else 1,
            compression=self.spec.compression,
        )
