"""Sends an image and its evidence to a registry: what it lacks, in parallel, the manifest last."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from builder.progress import Progress
from compliance.attest.referrer import as_referrer
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. `reference` names the image by digest; sizes are in bytes."""

    reference: Reference
    blobs_sent: int
    bytes_sent: int
    blobs_present: int


def push_image(
    client: RegistryClient,
    target: Reference,
    layout: Layout,
    image: Descriptor,
    evidence: Sequence[bytes],
    progress: Progress,
    *,
    workers: int,
) -> Pushed:
    """Push the image with this manifest descriptor, and sigstore bundles about it, to `target`.

    The evidence goes first, so that whoever decides on the image's manifest has it. Raises RegistryError
    with code DENIED when the registry refuses, Unavailable when it does not answer.
    """
    manifest, _ = layout.image(image.digest)
    blobs = _distinct((*manifest.layers, manifest.config))
    with (
        progress.bytes("pushing", sum(blob.size for blob in blobs)) as advance,
        ThreadPoolExecutor(workers) as pool,
    ):

        def send(blob: Descriptor) -> int:
            sent = client.push_blob(
                target.repository, blob.digest, blob.size, partial(_open, layout.path(blob.digest)), advance
            )
            if not sent:
                advance(blob.size)
            return blob.size if sent else 0

        sizes = list(pool.map(send, blobs))
    for bundle in evidence:
        _push_evidence(client, target.repository, bundle, image)
    raw = layout.read_bytes(image.digest)
    digest = client.put_manifest(target.repository, target.tag or image.digest, raw, image.media_type)
    sent = [size for size in sizes if size]
    return Pushed(target.at(digest), len(sent), sum(sent), len(blobs) - len(sent))


def _push_evidence(client: RegistryClient, repository: str, bundle: bytes, image: Descriptor) -> None:
    manifest, blobs = as_referrer(bundle, image)
    for descriptor, data in blobs:
        client.push_blob(repository, descriptor.digest, descriptor.size, partial(BytesIO, data))
    raw = manifest.to_json()
    client.put_manifest(repository, Digest.of(raw), raw, manifest.media_type)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _distinct(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    return list({blob.digest: blob for blob in blobs}.values())
