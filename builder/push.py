"""Sends an image and its evidence to a registry: what it lacks, in parallel, the manifest last."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from builder.errors import BuilderError
from builder.progress import Advance, Progress
from builder.pushed import PushedBlobs
from compliance.attest.referrer import as_referrer
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. `reference` names the image by digest; sizes are in bytes.

    `blobs_present` counts what the registry had or mounted from another of its repositories. The evidence
    comes on top of `bytes_sent`.
    """

    reference: Reference
    blobs_sent: int
    bytes_sent: int
    blobs_present: int
    evidence_bytes: int = 0


def push_image(
    client: RegistryClient,
    target: Reference,
    layout: Layout,
    image: Descriptor,
    evidence: Sequence[bytes],
    progress: Progress,
    *,
    workers: int,
    pushed: PushedBlobs | None = None,
) -> Pushed:
    """Push the image with this manifest descriptor, and sigstore bundles about it, to `target`.

    The evidence goes first, so that whoever decides on the image's manifest has it. `pushed` is what was
    pushed before, for the registry to mount from. Raises RegistryError with code DENIED when the registry
    refuses, Unavailable when it does not answer.
    """
    client.ping()  # a registry that is not there is told at once, not after retries
    manifest, _ = layout.image(image.digest)
    blobs = _distinct((*manifest.layers, manifest.config))
    with progress.bytes("pushing", sum(blob.size for blob in blobs)) as advance:
        sizes = _Sending(client, target, layout, pushed, advance).all(blobs, workers)
    sent_evidence = sum(_push_evidence(client, target.repository, bundle, image) for bundle in evidence)
    raw = layout.read_bytes(image.digest)
    digest = client.put_manifest(target.repository, target.tag or image.digest, raw, image.media_type)
    sent = [size for size in sizes if size]
    return Pushed(target.at(digest), len(sent), sum(sent), len(blobs) - len(sent), sent_evidence)


class _Stopped(BuilderError):
    """Another blob failed, so this one is given up."""


class _Sending:
    """The blobs of one image on their way. The first failure ends all of them."""

    def __init__(
        self,
        client: RegistryClient,
        target: Reference,
        layout: Layout,
        pushed: PushedBlobs | None,
        advance: Advance,
    ) -> None:
        self._client = client
        self._target = target
        self._layout = layout
        self._pushed = pushed
        self._advance = advance
        self._stop = threading.Event()

    def all(self, blobs: Sequence[Descriptor], workers: int) -> list[int]:
        """How many bytes each took; 0 for what the registry had. The largest go first."""
        with ThreadPoolExecutor(workers, "push") as pool:
            futures = [pool.submit(self._send, blob) for blob in sorted(blobs, key=lambda blob: -blob.size)]
            try:
                return [future.result() for future in as_completed(futures)]
            finally:
                self._stop.set()
                for future in futures:
                    future.cancel()

    def _send(self, blob: Descriptor) -> int:
        sent = self._client.push_blob(
            self._target.repository,
            blob.digest,
            blob.size,
            partial(_open, self._layout.path(blob.digest)),
            self._count,
            mount_from=self._pushed.source(self._target, blob.digest) if self._pushed else None,
            pause=self._pause,
        )
        if self._pushed is not None:
            self._pushed.note(self._target, blob.digest)
        if not sent:
            self._advance(blob.size)
        return blob.size if sent else 0

    def _count(self, count: int) -> None:
        if self._stop.is_set():
            raise _Stopped("given up because another blob failed")
        self._advance(count)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped("given up because another blob failed")


def _push_evidence(client: RegistryClient, repository: str, bundle: bytes, image: Descriptor) -> int:
    """Push one bundle about the image; returns how many bytes of it went out."""
    manifest, blobs = as_referrer(bundle, image)
    sent = 0
    for descriptor, data in blobs:
        if client.push_blob(repository, descriptor.digest, descriptor.size, partial(BytesIO, data)):
            sent += descriptor.size
    raw = manifest.to_json()
    client.put_manifest(repository, Digest.of(raw), raw, manifest.media_type)
    return sent + len(raw)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _distinct(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    return list({blob.digest: blob for blob in blobs}.values())
