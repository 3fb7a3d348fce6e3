"""Manifests, indexes and configs of the OCI image specification v1.1, and Docker's schema 2 equivalents.

Parsing is strict where a registry must be: JSON objects with a key twice are refused, and the media
type in the body must be the one the document was declared with. Unknown members are allowed, as the
specification demands, and ignored.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel, to_pascal

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.strict_json import parse_object, validated

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_LAYER_TAR: Final = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"

MANIFEST_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_INDEX})
CONFIG_TYPES: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
FOREIGN_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
"""Layers that are not pushed (image specification v1.1, "Non-Distributable Layers")."""

EMPTY_JSON: Final = b"{}"

MAX_DOCUMENT: Final = 16 << 20
"""Bytes of a manifest or config; registries take 4 MiB."""

_FROM_WIRE: Final = object()

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Document(BaseModel):
    """A part of a manifest or config, under its members' exact names.

    Clients written in Go match names without regard to case, and of `User` and `user` take the last. So a
    name that differs from a known one in case alone is refused: it would say one thing here, another there.
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _exact_names(cls, data: Any, info: ValidationInfo) -> Any:
        if info.context is _FROM_WIRE and isinstance(data, dict):
            known = {field.alias or name for name, field in cls.model_fields.items()}
            folded = {name.casefold(): name for name in known}
            for name in data:
                if name not in known and name.casefold() in folded:
                    raise ValueError(f"the member {name!r} must be spelled {folded[name.casefold()]!r}")
        return data


class _Wire(_Document):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """Canonical bytes: members in declaration order, absent ones left out, no white space."""
        data = self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=False)
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


class Platform(_Wire):
    os: str
    architecture: str
    variant: str | None = None


class Descriptor(_Wire):
    """A pointer to content: its media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: Annotated[int, Field(ge=0, strict=True)]
    platform: Platform | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None
    urls: tuple[str, ...] | None = None
    data: str | None = None

    @model_validator(mode="after")
    def _embeds_what_it_names(self) -> Descriptor:
        """Clients take embedded content for the blob; what they then hold must be what the digest names."""
        if self.data is not None and not _holds(self.data, self.digest, self.size):
            raise ValueError(f"the embedded data is not the content of {self.digest}")
        return self


def _holds(encoded: str, digest: Digest, size: int) -> bool:
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    return len(data) == size and Digest.of(data, digest.algorithm) == digest


class Manifest(_Wire):
    """One image, or one artifact when `artifact_type` or the config's media type says so."""

    schema_version: Annotated[int, Field(ge=2, le=2, strict=True)] = 2
    media_type: str = OCI_MANIFEST
    artifact_type: str | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    @property
    def is_image(self) -> bool:
        return self.config.media_type in CONFIG_TYPES


class Index(_Wire):
    """Several manifests under one name, usually one a platform."""

    schema_version: Annotated[int, Field(ge=2, le=2, strict=True)] = 2
    media_type: str = OCI_INDEX
    artifact_type: str | None = None
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class RuntimeConfig(_Document):
    """The `config` member of an image config. Docker's member names are in capitals."""

    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True)

    user: str | None = None
    exposed_ports: dict[str, dict[str, Any]] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None


class RootFs(_Document):
    type: str = "layers"
    diff_ids: tuple[Digest, ...]


class History(_Document):
    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class ImageConfig(_Document):
    """The image config: platform, what runs, and the diffIDs of the layers from the bottom up."""

    created: str | None = None
    architecture: str
    os: str
    variant: str | None = None
    config: RuntimeConfig = RuntimeConfig()
    rootfs: RootFs
    history: tuple[History, ...] | None = None

    def to_json(self) -> bytes:
        data = self.model_dump(by_alias=True, exclude_none=True)
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def parse_manifest(raw: bytes, media_type: str | None = None) -> Manifest | Index:
    """Read a manifest or index. `media_type` is what it was declared with, where it was.

    Raises InvalidInput when it is neither, or when body and declaration disagree.
    """
    data = parse_object(raw, "the manifest", max_bytes=MAX_DOCUMENT)
    named = data.get("mediaType")
    if media_type is not None and named is not None and named != media_type:
        raise InvalidInput(f"the manifest says it is {named!r} but was declared as {media_type!r}")
    kind = media_type if named is None else named
    if kind is None:
        kind = OCI_INDEX if "manifests" in data else OCI_MANIFEST
    if not isinstance(kind, str) or kind not in MANIFEST_TYPES | INDEX_TYPES:
        raise InvalidInput(f"unsupported manifest media type {kind!r}")
    if "manifests" in data and ("layers" in data or "config" in data):
        raise InvalidInput("the manifest is an image and an index at once")
    model: type[Manifest] | type[Index] = Index if kind in INDEX_TYPES else Manifest
    return _validated({**data, "mediaType": kind}, model, model.__name__.lower())


def parse_config(raw: bytes) -> ImageConfig:
    """Read an image config. Raises InvalidInput when it is not one."""
    data = parse_object(raw, "the image config", max_bytes=MAX_DOCUMENT)
    return _validated(data, ImageConfig, "image config")


def _validated(data: dict[str, Any], model: type[ModelT], what: str) -> ModelT:
    return validated(data, model, what, context=_FROM_WIRE)
