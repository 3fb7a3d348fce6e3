"""What a policy may ask of a built image besides its packages: layers, privileged files, how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import TypeAdapter, ValidationError

from builder.cache import Cache
from builder.image import BuiltImage
from compliance.bases import BaseDefinition
from compliance.inventory import Ecosystem, Layer, Origin, PrivilegedFile
from compliance.models import FoundPrivilege, read_layer_files
from compliance.oci.digest import Digest
from compliance.oci.layer import open_layer

_KNOWN: Final = TypeAdapter(tuple[FoundPrivilege, ...])


def image_layers(image: BuiltImage, base: BaseDefinition) -> tuple[Layer, ...]:
    """The layers of a built image, from the bottom up."""
    return Layer.of(image.manifest, image.config, base.base.diff_ids)


def privileged_files(image: BuiltImage, base: BaseDefinition, cache: Cache) -> tuple[PrivilegedFile, ...]:
    """The files of a built image that run with other rights than their caller's, sorted by path.

    Layers of wheels and models are not read: they are written with the modes 0644 and 0755 and nothing else.
    What was read of another layer is kept in the cache, by diffID. Raises InvalidInput when a layer is damaged.
    """
    plain = {
        layer.diff_id
        for layer in image.layers
        if layer.model or (layer.packages and layer.ecosystem is Ecosystem.PYPI)
    }
    made: Mapping[Digest, Path] = {layer.diff_id: layer.path for layer in image.layers}
    found: dict[str, PrivilegedFile] = {}
    for diff_id, blob in zip(image.config.rootfs.diff_ids, image.manifest.layers, strict=True):
        if diff_id in plain:
            continue
        path = made.get(diff_id) or cache.path(blob.digest)
        for one in _privileged_in(diff_id, path, cache.records("privileged")):
            origin = _origin(diff_id, one.path, base)
            found[one.path] = PrivilegedFile(one.path, one.privileges, origin, one.owner, one.group, diff_id)
    return tuple(found[path] for path in sorted(found))


def _privileged_in(diff_id: Digest, blob: Path, known: Path) -> tuple[FoundPrivilege, ...]:
    kept = known / f"{diff_id.hex}.json"
    try:
        os.utime(kept)
        return _KNOWN.validate_json(kept.read_bytes())
    except (FileNotFoundError, ValidationError):
        with open_layer(blob, name=f"layer {diff_id}") as stream:
            found = read_layer_files(stream).privileged
    part = known / f".{diff_id.hex}.{os.getpid()}"
    part.write_bytes(_KNOWN.dump_json(found))
    part.replace(kept)
    return found


def _origin(diff_id: Digest, path: str, base: BaseDefinition) -> Origin:
    if diff_id in base.base.diff_ids:
        return Origin.BASE
    return Origin.DEPENDENCY if PurePosixPath(path).is_relative_to(base.prefix) else Origin.APP
