"""All that a spec wants done inside its image, bound to a base: what `build_image` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.cache import Cache
from builder.image import BaseImage, ImageLayer, ImageSettings
from builder.inside import bytecode
from builder.inside.steps import Step, step_layers
from builder.layers.inputs import Environment, WheelInput
from builder.progress import Progress
from builder.spec import Spec
from compliance.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class InsideWork:
    """The bytecode and steps of `spec`. `base_digest` names the base, whose interpreter compiles."""

    spec: Spec
    base: BaseImage
    base_digest: Digest
    environment: Environment
    settings: ImageSettings
    cache: Cache
    progress: Progress

    @property
    def layers(self) -> int:
        return len(self.spec.steps) + (bytecode.LAYERS if self.spec.bytecode else 0)

    def bytecode(self, wheels: Sequence[WheelInput]) -> Sequence[ImageLayer]:
        if not self.spec.bytecode:
            return ()
        return bytecode.bytecode_layers(
            wheels, self.base, self.base_digest, self.environment, self.cache, self.progress
        )

    def steps(self, below: Sequence[ImageLayer], *, with_project: bool) -> Sequence[ImageLayer]:
        wanted = [step for step in self.spec.steps if (step.after == "project") is with_project]
        steps = [Step(step.run, step.network, step.user) for step in wanted]
        return step_layers(steps, self.base, below, self.settings, self.cache, self.progress)
