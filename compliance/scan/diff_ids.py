"""Layers checked against the diffIDs of an image's config, each blob once.

What is learnt of a layer is kept by its diffID. A config that names a harmless layer's diffID for another
blob would have that blob go unread, if nobody unpacked it: registries check a blob's own digest only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.layer import open_layer
from compliance.oci.layout import Layout


def check_diff_ids(layout: Layout, digest: Digest, memory: Path) -> None:
    """Raise InvalidInput unless every layer of the image `digest`, unpacked, has the diffID its config gives.

    `memory` is a directory that keeps the diffIDs of blobs, by their digests, that were unpacked before.
    """
    manifest, config = layout.image(digest)
    if len(manifest.layers) != len(config.rootfs.diff_ids):
        raise InvalidInput(
            f"image {digest} has {len(manifest.layers)} layers, its config names {len(config.rootfs.diff_ids)}",
            at=Location(layout.root),
        )
    for layer, claimed in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        actual = _diff_id(layout, layer.digest, memory)
        if actual != claimed:
            raise InvalidInput(
                f"layer {layer.digest} unpacks to {actual}, but the image's config says {claimed}",
                at=Location(layout.root),
                remedy="Build the image again; a runtime would refuse to unpack it.",
            )


def _diff_id(layout: Layout, blob: Digest, memory: Path) -> Digest:
    if not layout.has(blob):
        raise InvalidInput(f"layer {blob} is missing", at=Location(layout.root))
    known = memory / blob.algorithm / blob.hex
    try:
        return Digest(known.read_text())
    except (OSError, InvalidInput):
        actual = _unpacked(layout, blob)
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=known.parent, prefix=".new-", delete=False) as stream:
        stream.write(actual)
    Path(stream.name).replace(known)
    return actual


def _unpacked(layout: Layout, blob: Digest) -> Digest:
    """The diffID of a blob whose own digest is true."""
    path = layout.path(blob)
    with path.open("rb") as stream:
        found = Digest.of_chunks(iter(lambda: stream.read(1 << 20), b""))
    if blob.algorithm == "sha256" and found != blob:
        raise InvalidInput(f"blob {blob} has been altered", at=Location(layout.root))
    with open_layer(path, name=f"layer {blob}") as layer:
        return layer.finish()
