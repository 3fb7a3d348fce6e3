"""Bundles as referrers: artifacts in a registry whose subject is the image they are about.

The shape is the one sigstore clients read and write: artifact type and the one layer's media type are the
bundle's, the config is the empty object (image specification v1.1, "Guidelines for Artifact Usage").
"""

from __future__ import annotations

from typing import Final

from compliance.attest.bundle import BUNDLE_TYPE, unverified_predicate_type
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import EMPTY_JSON, OCI_EMPTY, Descriptor, Manifest

CONTENT: Final = "dev.sigstore.bundle.content"
PREDICATE_TYPE: Final = "dev.sigstore.bundle.predicateType"


def as_referrer(bundle: bytes, subject: Descriptor) -> tuple[Manifest, tuple[tuple[Descriptor, bytes], ...]]:
    """The artifact manifest that attaches `bundle` to `subject`, and the blobs to push before it.

    Raises InvalidInput when `bundle` is not a bundle with a statement in it.
    """
    config = Descriptor(media_type=OCI_EMPTY, digest=Digest.of(EMPTY_JSON), size=len(EMPTY_JSON))
    layer = Descriptor(media_type=BUNDLE_TYPE, digest=Digest.of(bundle), size=len(bundle))
    manifest = Manifest(
        artifact_type=BUNDLE_TYPE,
        config=config,
        layers=(layer,),
        subject=Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size),
        annotations={CONTENT: "dsse-envelope", PREDICATE_TYPE: unverified_predicate_type(bundle)},
    )
    return manifest, ((config, EMPTY_JSON), (layer, bundle))


def bundle_in(manifest: Manifest) -> Descriptor:
    """Where the bundle of a referrer is. Raises InvalidInput when the artifact holds no bundle."""
    if manifest.artifact_type != BUNDLE_TYPE:
        raise InvalidInput(f"the artifact is not a sigstore bundle but {manifest.artifact_type!r}")
    if len(manifest.layers) != 1 or manifest.layers[0].media_type != BUNDLE_TYPE:
        raise InvalidInput("the artifact does not hold exactly one bundle")
    return manifest.layers[0]
