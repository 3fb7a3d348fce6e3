"""Which images the objects of Kubernetes run: pods, and what makes pods.

All of a pod: containers, init containers, ephemeral ones that are added to it later, and images that are mounted
as volumes. A kind that is not known is refused, since nobody can tell what it would run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from compliance.errors import InvalidInput
from gate.cluster.admission_review import GroupVersionKind

MOST_READ: Final = 300
"""Characters of a name; no image has a longer one."""

_TEMPLATE: Final = ("spec", "template", "spec")

KINDS: Final = {
    ("", "v1", "Pod"): ("spec",),
    ("", "v1", "ReplicationController"): _TEMPLATE,
    ("apps", "v1", "DaemonSet"): _TEMPLATE,
    ("apps", "v1", "Deployment"): _TEMPLATE,
    ("apps", "v1", "ReplicaSet"): _TEMPLATE,
    ("apps", "v1", "StatefulSet"): _TEMPLATE,
    ("batch", "v1", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("batch", "v1", "Job"): _TEMPLATE,
}
"""Group, version and kind, and where the pod's specification is in it."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Container(_Part):
    name: str = ""
    image: str | None = None


class _ImageVolume(_Part):
    reference: str | None = None


class _Volume(_Part):
    name: str = ""
    image: _ImageVolume | None = None


class _PodSpec(_Part):
    containers: list[_Container]
    init: list[_Container] | None = Field(default=None, alias="initContainers")
    ephemeral: list[_Container] | None = Field(default=None, alias="ephemeralContainers")
    volumes: list[_Volume] | None = None


@dataclass(frozen=True, slots=True)
class UsedImage:
    """An image that an object names at a JSON pointer. `role` is how people call that place.

    A mounted one is read and not run.
    """

    image: str
    role: str
    path: str
    mounted: bool = False

    @property
    def place(self) -> str:
        """Where it is, and its name as far as somebody wants to read it."""
        return f"{self.role}, {self.image if len(self.image) <= MOST_READ else self.image[:MOST_READ] + '…'}"


def images_of(kind: GroupVersionKind, document: JsonValue) -> tuple[UsedImage, ...]:
    """All images of an object of one of the KINDS. Raises InvalidInput when it is none, or cannot be read."""
    place = KINDS.get((kind.group, kind.version, kind.kind))
    if place is None:
        raise InvalidInput(
            f"{kind} is no kind of which it is known what it runs",
            remedy="Take it out of the rules of the webhook's configuration.",
        )
    found = document
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    try:
        spec = _PodSpec.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join((*place, *(str(part) for part in first["loc"])))
        raise InvalidInput(f"{kind} cannot be read: {where}: {first['msg']}") from error
    return tuple(_images(spec, "/" + "/".join(place)))


def _images(spec: _PodSpec, at: str) -> Iterator[UsedImage]:
    for key, role, containers in (
        ("containers", "container", spec.containers),
        ("initContainers", "init container", spec.init),
        ("ephemeralContainers", "ephemeral container", spec.ephemeral),
    ):
        for number, one in enumerate(containers or ()):
            yield UsedImage(one.image or "", f"{role} {one.name!r}", f"{at}/{key}/{number}/image")
    for number, volume in enumerate(spec.volumes or ()):
        if volume.image is not None:
            path = f"{at}/volumes/{number}/image/reference"
            yield UsedImage(volume.image.reference or "", f"volume {volume.name!r}", path, mounted=True)
