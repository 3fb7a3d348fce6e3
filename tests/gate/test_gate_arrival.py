from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from gate.arrival import LARGEST, is_evidence, receive, why_no_image
from gate.errors import Fault

MALFORMED = sorted((Path(__file__).parent / "data" / "manifests").glob("*.json"))


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_a_malformed_manifest_is_answered_with_one_line_that_says_what_is_wrong(path):
    with pytest.raises(Fault) as caught:
        receive("team/image", "v1", "ci", path.read_bytes(), OCI_MANIFEST)
    assert (caught.value.status, caught.value.code) == (400, "MANIFEST_INVALID")
    assert caught.value.message
    assert "\n" not in caught.value.message


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_bytes_at_all_make_the_parser_fail_in_another_way(raw):
    with pytest.raises(Fault) as caught:
        receive("team/image", "v1", "ci", raw, None)
    assert caught.value.status == 400


def test_a_manifest_is_known_by_the_digest_it_was_pushed_under():
    raw = b'{"schemaVersion":2,"manifests":[]}'
    for algorithm in ("sha256", "sha512"):
        digest = Digest.of(raw, algorithm)
        assert receive("team/image", digest, "ci", raw, OCI_INDEX).digest == digest
    assert receive("team/image", "v1", "ci", raw, OCI_INDEX).digest == Digest.of(raw)


def test_a_manifest_larger_than_the_limit_is_refused_before_it_is_parsed():
    with pytest.raises(Fault) as caught:
        receive("team/image", "v1", "ci", b" " * (LARGEST + 1), OCI_MANIFEST)
    assert caught.value.status == 413


def test_a_manifest_under_another_digest_is_refused():
    with pytest.raises(Fault) as caught:
        receive("team/image", Digest.of(b"other"), "ci", b"{}", OCI_MANIFEST)
    assert (caught.value.status, caught.value.code) == (400, "DIGEST_INVALID")


def _manifest(config: str, *layers: str, artifact_type: str | None = None) -> Manifest:
    def described(media_type: str) -> Descriptor:
        return Descriptor(media_type=media_type, digest=Digest.of(b"{}"), size=2)

    return Manifest(
        config=described(config), layers=tuple(described(layer) for layer in layers), artifact_type=artifact_type
    )


CONFIG = "application/vnd.oci.image.config.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = "application/vnd.oci.empty.v1+json"


def test_an_image_by_other_digests_cannot_be_judged():
    config = Descriptor(media_type=CONFIG, digest=Digest.of(b"{}", "sha512"), size=2)
    image = _manifest(CONFIG, "application/vnd.oci.image.layer.v1.tar").model_copy(update={"config": config})
    assert "sha256" in (why_no_image(image) or "")


def test_an_attestation_of_buildkit_is_no_image():
    assert "in-toto" in (why_no_image(_manifest(CONFIG, "application/vnd.in-toto+json")) or "")


def test_an_image_without_layers_is_no_image():
    assert why_no_image(_manifest(CONFIG)) is not None


def test_evidence_is_only_what_has_exactly_the_form_of_a_bundle():
    subject = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"image"), size=5)
    bundle = _manifest(EMPTY, BUNDLE, artifact_type=BUNDLE).model_copy(update={"subject": subject})
    assert is_evidence(bundle)
    assert not is_evidence(bundle.model_copy(update={"subject": None}))
    assert not is_evidence(bundle.model_copy(update={"layers": bundle.layers * 2}))
    disguised = _manifest(CONFIG, BUNDLE, artifact_type=BUNDLE).model_copy(update={"subject": subject})
    assert not is_evidence(disguised)
