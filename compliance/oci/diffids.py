"""That the layers of an image hold what its config says (image specification v1.1, "Layer DiffID").

What is learnt of a layer is kept by its diffID. A config that names a harmless layer's diffID for another
blob would have that blob go unread, if nobody unpacked it: registries check a blob's own digest only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream, open_layer
from compliance.oci.layout import Layout

CHUNK: Final = 1 << 20
MAX_IMAGE: Final = 64 << 30
"""Bytes that the layers of one image may unpack to, together."""


class WrongLayer(InvalidInput):
    """The layers of an image are not the ones that its config names."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One layer of an image: its blob, and the diffID that the config gives it."""

    blob: Digest
    diff_id: Digest


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What unpacking a blob showed: its diffID, and how many bytes its tar has."""

    diff_id: Digest
    size: int


def claims(layout: Layout, digest: Digest) -> tuple[Claim, ...]:
    """The layers of the image from the bottom up. Raises WrongLayer when there are not as many diffIDs."""
    manifest, config = layout.image(digest)
    diff_ids = config.rootfs.diff_ids
    if len(manifest.layers) != len(diff_ids):
        raise WrongLayer(
            f"image {digest} has {len(manifest.layers)} layers, its config names {len(diff_ids)}",
            at=Location(layout.root),
        )
    return tuple(Claim(layer.digest, diff_id) for layer, diff_id in zip(manifest.layers, diff_ids, strict=True))


def check(claim: Claim, unpacked: Unpacked, layout: Layout) -> None:
    """Raise WrongLayer unless a layer is the one that the config names."""
    if unpacked.diff_id != claim.diff_id:
        raise WrongLayer(
            f"layer {claim.blob} unpacks to {unpacked.diff_id}, but the image's config says {claim.diff_id}",
            at=Location(layout.root),
            remedy="Build the image again; a runtime would refuse to unpack it.",
        )


@contextmanager
def open_claimed(layout: Layout, claim: Claim, *, limit: int = MAX_IMAGE) -> Iterator[LayerStream]:
    """The tar of one layer. When the block has ended it was read to its end, and is what was claimed.

    Raises InvalidInput when the blob is missing, altered, damaged or larger than `limit` when unpacked, and
    WrongLayer when it is another layer.
    """
    name = f"layer {claim.blob}"
    with open_layer(layout.path(claim.blob), name=name, limit=limit, digest=claim.blob) as stream:
        yield stream
        check(claim, Unpacked(stream.finish(), stream.tell()), layout)


def check_diff_ids(layout: Layout, digest: Digest, memory: Path | None = None, *, limit: int = MAX_IMAGE) -> None:
    """Raise InvalidInput unless every layer of the image `digest`, unpacked, has the diffID its config gives.

    `memory` is a directory that keeps the diffIDs of blobs, by their digests, that were unpacked before;
    `limit` bounds all layers together, in bytes.
    """
    for claim in claims(layout, digest):
        unpacked = recall(memory, claim.blob) if memory is not None and layout.has(claim.blob) else None
        if unpacked is None:
            with open_claimed(layout, claim, limit=limit) as stream:
                unpacked = Unpacked(stream.finish(), stream.tell())
            if memory is not None:
                remember(memory, claim.blob, unpacked)
        check(claim, unpacked, layout)
        limit -= unpacked.size
        if limit < 0:
            raise InvalidInput(f"image {digest} decompresses to more bytes than are looked at")


def recall(memory: Path, blob: Digest) -> Unpacked | None:
    """What is known of a blob that was unpacked before."""
    try:
        diff_id, _, size = (memory / blob.algorithm / blob.hex).read_text().partition("\n")
        return Unpacked(Digest(diff_id), int(size))
    except (OSError, InvalidInput, ValueError):
        return None


def remember(memory: Path, blob: Digest, unpacked: Unpacked) -> None:
    """Keep what was learnt of a blob whose own digest is true."""
    known = memory / blob.algorithm / blob.hex
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=known.parent, prefix=".new-", delete=False) as stream:
        stream.write(f"{unpacked.diff_id}\n{unpacked.size}")
    Path(stream.name).replace(known)
