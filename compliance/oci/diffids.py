"""That the layers of an image hold what its config says (image specification v1.1, "Layer DiffID")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream, open_layer
from compliance.oci.layout import Layout

MAX_IMAGE: Final = 64 << 30


def read_layers(layout: Layout, digest: Digest, *, limit: int = MAX_IMAGE) -> Iterator[tuple[Digest, LayerStream]]:
    """The layers of the image from the bottom up, each with its diffID. `limit` bounds their tars together.

    A layer counts as true once the next one has been asked for: then it was read to its end, and raised
    InvalidInput unless it has the diffID that the config gives it.
    """
    manifest, config = layout.image(digest)
    if len(manifest.layers) != len(config.rootfs.diff_ids):
        raise InvalidInput(f"{digest} has {len(manifest.layers)} layers and {len(config.rootfs.diff_ids)} diffIDs")
    for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        with open_layer(layout.path(layer.digest), name=f"layer {layer.digest}", limit=limit) as stream:
            yield diff_id, stream
            actual = stream.finish()
            if actual != diff_id:
                raise InvalidInput(f"layer {layer.digest} holds {actual}, but the config says {diff_id}")
            limit -= stream.tell()


def verify_diff_ids(layout: Layout, digest: Digest, *, limit: int = MAX_IMAGE) -> None:
    """Check every layer of an image against its config. Raises InvalidInput when one is not what it says."""
    for _ in read_layers(layout, digest, limit=limit):
        pass
