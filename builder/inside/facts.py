"""What is done inside an image, as evidence: known from spec and lock, and complete once there is an image."""

from __future__ import annotations

from builder.image import BuiltImage
from builder.inside.steps import as_step
from builder.lock import LockFile
from builder.spec import Spec
from compliance.evidence import Build, BuildStep


def build_facts(spec: Spec, lock: LockFile, image: BuiltImage | None = None) -> Build:
    """What runs in the build. The layers that steps leave are known from the image alone."""
    steps = [as_step(wanted) for wanted in spec.steps]
    layers = {layer.contents: layer.diff_id for layer in image.layers} if image is not None else {}
    return Build(
        steps=tuple(
            BuildStep(str(step), step.network, step.user, layers.get(step.contents(number)))
            for number, step in enumerate(steps, 1)
        ),
        bytecode=spec.bytecode,
    )
