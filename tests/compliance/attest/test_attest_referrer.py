"""A bundle is attached to an image as sigstore clients expect it."""

from __future__ import annotations

import pytest
from securesystemslib.signer import CryptoSigner

from compliance.attest.bundle import BUNDLE_TYPE, sign_statement
from compliance.attest.referrer import as_referrer, bundle_in
from compliance.attest.statement import Statement, subjects_for
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_EMPTY, OCI_MANIFEST, Descriptor, Manifest, parse_manifest

SUBJECT = Descriptor(
    media_type=OCI_MANIFEST,
    digest=Digest.of(b"image"),
    size=5,
    annotations={"name": "x"},
)
STATEMENT = Statement(
    subjects=subjects_for("a/b", SUBJECT.digest, Digest.of(b"config")),
    predicate_type="https://slsa.dev/provenance/v1",
    predicate={},
)
BUNDLE = sign_statement(STATEMENT, CryptoSigner.generate_ecdsa())


def test_the_manifest_points_at_image_and_bundle() -> None:
    manifest, blobs = as_referrer(BUNDLE, SUBJECT)
    assert (manifest.media_type, manifest.artifact_type) == (OCI_MANIFEST, BUNDLE_TYPE)
    assert manifest.config == Descriptor(media_type=OCI_EMPTY, digest=Digest.of(b"{}"), size=2)
    assert manifest.subject == Descriptor(media_type=OCI_MANIFEST, digest=SUBJECT.digest, size=5)
    assert manifest.annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
    }
    assert {descriptor.digest: data for descriptor, data in blobs} == {
        manifest.config.digest: b"{}",
        bundle_in(manifest).digest: BUNDLE,
    }
    assert not manifest.is_image
    assert parse_manifest(manifest.to_json(), OCI_MANIFEST) == manifest


def test_only_a_bundle_can_be_attached() -> None:
    with pytest.raises(InvalidInput, match="sigstore bundle"):
        as_referrer(b"{}", SUBJECT)


@pytest.mark.parametrize(
    "change",
    [
        {"artifact_type": "application/spdx+json"},
        {"artifact_type": None},
        {"layers": ()},
        {"layers": (Descriptor(media_type=OCI_EMPTY, digest=Digest.of(b"{}"), size=2),)},
    ],
)
def test_an_artifact_without_a_bundle_is_refused(change: dict[str, object]) -> None:
    manifest, _ = as_referrer(BUNDLE, SUBJECT)
    with pytest.raises(InvalidInput, match="bundle"):
        bundle_in(Manifest.model_validate(manifest.model_copy(update=change)))
