"""Several platforms of one project: an image for each from one lock, and an index that names them all.

Nothing is emulated: a wheel and a Debian package are unpacked the same way on every machine. Only what runs
inside an image needs a machine of the image's own kind.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from builder.lockfile import LockFile
from builder.platform_image import BuiltProject, build_image_of
from builder.project import Project
from builder.spec import Spec
from builder.workshop import Workshop
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput
from compliance.oci.layout import REFERENCE_NAME, Layout
from compliance.oci.manifest import OCI_INDEX, Index
from compliance.policy.decision import Decision, Verdict

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}
_WORST: Final = (Verdict.ADMITTED, Verdict.UNDECIDABLE, Verdict.REFUSED)


def host_architecture() -> str:
    """What this machine runs, as images name it: `amd64`; the machine's own word where they have none."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def bases_of(project: Project, workshop: Workshop) -> tuple[BaseDefinition, ...]:
    """The base on each platform of the spec, in their order. Raises InvalidInput where there is none."""
    return tuple(workshop.base(project.spec.base, one.architecture) for one in project.each)


def each_platform(project: Project, lock: LockFile) -> tuple[tuple[Project, LockFile], ...]:
    """The project and its lock as each platform sees them."""
    return tuple(zip(project.each, lock.each, strict=True))


def build_platforms(project: Project, workshop: Workshop, lock: LockFile, host: str) -> BuiltProject:
    """Build the image of each platform of the lock; where there are several, also the index of them.

    Raises InvalidInput for a platform whose image cannot be made on `host`.
    """
    for one in project.each:
        _check_host(project.spec, one, host)
    if not lock.further:
        return build_image_of(project, workshop, lock)
    images = []
    for one, part in each_platform(project, lock):
        workshop.progress.step(f"building for {one.platform}")
        images.append(build_image_of(one, workshop, part))
    return _indexed(project, images)


def on_host(built: BuiltProject, host: str) -> BuiltProject:
    """The image that this machine can run. Raises InvalidInput, naming the platforms there are, without one."""
    for image in built.each:
        if image.image.config.architecture == host:
            return image
    have = ", ".join(f"linux/{image.image.config.architecture}" for image in built.each)
    raise InvalidInput(
        f"this machine runs linux/{host}, and the image is for {have} only",
        remedy=f"Add linux/{host} to `platforms` in mlbuild.yaml, or do this on a machine of that kind.",
    )


def worst(decisions: Iterable[Decision]) -> Verdict:
    """The verdict that counts for all platforms together."""
    return max((decision.verdict for decision in decisions), key=_WORST.index)


def _check_host(spec: Spec, one: Project, host: str) -> None:
    wanted = [name for name, asked in (("steps", spec.steps), ("bytecode", spec.bytecode)) if asked]
    if wanted and one.architecture != host:
        raise InvalidInput(
            f"`{wanted[0]}` runs programs of {one.platform} inside the image, and this machine is linux/{host}",
            remedy=f"Leave `{wanted[0]}` out, take {one.platform} out of `platforms`, or build on such a machine.",
        )


def _indexed(project: Project, images: list[BuiltProject]) -> BuiltProject:
    """The images in one layout, below an index. Files are shared with the layouts of the platforms."""
    layout = Layout.create(project.state.directory / "image")
    children = tuple(built.image.descriptor.model_copy(update={"annotations": None}) for built in images)
    with layout.alone():
        for built in images:
            manifest = built.image.manifest
            for blob in (*manifest.layers, manifest.config, built.image.descriptor):
                layout.add_file(built.layout.path(blob.digest), blob.digest)
        index = layout.write_bytes(Index(manifests=children).to_json(), OCI_INDEX)
        layout.write_index([index.model_copy(update={"annotations": {REFERENCE_NAME: project.spec.image}})])
        layout.remove_unreferenced()
    first, *further = images
    return replace(first, index=index, index_layout=layout, further=tuple(further))
