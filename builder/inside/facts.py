"""What is done inside an image, as evidence: known from spec and lock, and complete once there is an image."""

from __future__ import annotations

from builder.image import BuiltImage
from builder.inside.steps import as_step
from builder.lockfile import LockedTool, LockFile
from builder.spec import Spec
from compliance.evidence import Build, BuildStep, BuiltSdist, LockedPackage


def build_facts(spec: Spec, lock: LockFile, image: BuiltImage | None = None) -> Build:
    """What runs in the build. The layers that steps leave are known from the image alone."""
    steps = [as_step(wanted) for wanted in spec.steps]
    layers = {layer.contents: layer.diff_id for layer in image.layers} if image is not None else {}
    return Build(
        steps=tuple(
            BuildStep(str(step), step.network, step.user, layers.get(step.contents(number)))
            for number, step in enumerate(steps, 1)
        ),
        sdists=tuple(
            BuiltSdist(
                package.name,
                package.version,
                package.sha256,
                wheel=package.build.sha256,
                requires=tuple(_as_evidence(tool) for tool in package.build.tools),
            )
            for package in lock.wheels
            if package.build is not None
        ),
        bytecode=spec.bytecode,
    )


def _as_evidence(tool: LockedTool) -> LockedPackage:
    return LockedPackage(tool.name, tool.version, tool.sha256, tool.url, tool.index)
