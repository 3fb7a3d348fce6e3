"""What arrives in a manifest PUT: an image, an index, evidence about an image, or something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from compliance.attest.bundle import BUNDLE_TYPE
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    EMPTY_JSON,
    FOREIGN_TYPES,
    OCI_EMPTY,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    OCI_LAYER_ZSTD,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
)
from gate.errors import Code, Fault, malformed

MAX_BYTES: Final = 4 << 20
"""The largest manifest taken unless set otherwise; the distribution specification asks for at least this."""

LARGEST: Final = 64 << 20
"""What can be set, in bytes: a manifest is held in memory."""

MAX_ENTRIES: Final = 1000
"""Layers of an image, or manifests of an index; runtimes give up far below."""

LAYER_TYPES: Final = frozenset(
    {
        OCI_LAYER_TAR,
        OCI_LAYER_GZIP,
        OCI_LAYER_ZSTD,
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
    }
)


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest PUT: by whom, under which tag (None: by digest), and the manifest's very bytes."""

    repository: str
    tag: str | None
    user: str
    raw: bytes
    digest: Digest
    document: Manifest | Index

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=self.document.media_type, digest=self.digest, size=len(self.raw))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that the manifest is made of, without layers that are never pushed."""
        document = self.document
        if isinstance(document, Index):
            return ()
        return (document.config, *(layer for layer in document.layers if layer.media_type not in FOREIGN_TYPES))


def receive(repository: str, target: str, user: str, raw: bytes, media_type: str | None) -> Push:
    """Read a manifest PUT strictly. Raises the 400 answer for what is no manifest or has another digest."""
    if len(raw) > LARGEST:
        raise too_large(LARGEST)
    named = Digest(target) if ":" in target else None
    digest = Digest.of(raw, named.algorithm) if named else Digest.of(raw)
    if named is not None and named != digest:
        raise Fault(400, Code.DIGEST_INVALID, f"the manifest has the digest {digest}, not {named}")
    try:
        document = parse_manifest(raw, media_type)
    except InvalidInput as error:
        raise malformed(error.message) from error
    entries = document.manifests if isinstance(document, Index) else document.layers
    if len(entries) > MAX_ENTRIES:
        raise malformed(f"the manifest names {len(entries):,} things, and at most {MAX_ENTRIES:,} are looked at")
    return Push(repository, None if named else target, user, raw, digest, document)


def too_large(limit: int) -> Fault:
    return Fault(413, Code.SIZE_INVALID, f"a manifest may have {limit:,} bytes, this one has more")


def is_evidence(document: Manifest | Index) -> bool:
    """Whether this is a sigstore bundle attached to something, in exactly the form bundles have."""
    return (
        isinstance(document, Manifest)
        and document.artifact_type == BUNDLE_TYPE
        and document.subject is not None
        and document.config.media_type == OCI_EMPTY
        and document.config.digest == Digest.of(EMPTY_JSON)
        and [layer.media_type for layer in document.layers] == [BUNDLE_TYPE]
    )


def why_no_image(document: Manifest) -> str | None:
    """What keeps the manifest of an image from being judged, or None when nothing does."""
    odd = next((layer.media_type for layer in document.layers if layer.media_type not in LAYER_TYPES), None)
    if odd is not None:
        return f"it has a layer of type {odd!r}, which is no file system that can be read"
    if not document.layers:
        return "it has no layers, so there is nothing to judge"
    if any(named.digest.algorithm != "sha256" for named in (document.config, *document.layers)):
        return "it names what it is made of by other digests than sha256, which image scanners cannot read"
    return None
