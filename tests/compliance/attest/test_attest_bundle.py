"""A bundle holds for one payload, one key and one subject, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner, SSlibKey

from compliance.attest.bundle import BUNDLE_TYPE, sign_statement, verify_bundle
from compliance.attest.keys import SCHEME, TrustedKeys, hint
from compliance.attest.statement import Statement, Subject, subjects_for
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

MANIFEST, CONFIG, OTHER = Digest.of(b"manifest"), Digest.of(b"config"), Digest.of(b"other")


def signer_of(key: ec.EllipticCurvePrivateKey) -> CryptoSigner:
    public = key.public_key()
    return CryptoSigner(key, SSlibKey.from_crypto(public, keyid=hint(public), scheme=SCHEME))


KEY = ec.generate_private_key(ec.SECP256R1())
SIGNER = signer_of(KEY)
STRANGER = signer_of(ec.generate_private_key(ec.SECP256R1()))
TRUSTED = TrustedKeys.of("ci", SIGNER)
STATEMENT = Statement(
    subjects=subjects_for("serving/iris", MANIFEST, CONFIG),
    predicate_type="https://example.org/claim/v1",
    predicate={"answer": 42, "text": "ünïcode"},
)
BUNDLE = sign_statement(STATEMENT, SIGNER)


def altered(change: Callable[[dict[str, Any]], object], bundle: bytes = BUNDLE) -> bytes:
    raw = json.loads(bundle)
    change(raw)
    return json.dumps(raw).encode()


def test_a_bundle_has_the_shape_that_sigstore_clients_read() -> None:
    raw = json.loads(BUNDLE)
    name = SIGNER.public_key.keyid
    assert raw["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert raw["verificationMaterial"] == {"publicKey": {"hint": name}}
    assert raw["dsseEnvelope"].keys() == {"payload", "payloadType", "signatures"}
    assert raw["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    assert [each["keyid"] for each in raw["dsseEnvelope"]["signatures"]] == [name]
    assert json.loads(base64.b64decode(raw["dsseEnvelope"]["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "serving/iris", "digest": {"sha256": MANIFEST.hex}},
            {"name": "serving/iris#config", "digest": {"sha256": CONFIG.hex}},
        ],
        "predicateType": "https://example.org/claim/v1",
        "predicate": {"answer": 42, "text": "ünïcode"},
    }


def test_the_signature_is_plain_ecdsa_over_the_pre_authentication_encoding() -> None:
    envelope = json.loads(BUNDLE)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    KEY.public_key().verify(signature, encoded, ec.ECDSA(SHA256()))


@pytest.mark.parametrize("about", [None, {MANIFEST}, {CONFIG}, {OTHER, CONFIG}])
def test_a_bundle_is_verified_and_names_its_key(about: set[Digest] | None) -> None:
    assert verify_bundle(BUNDLE, TRUSTED, about) == (STATEMENT, "ci")


@pytest.mark.parametrize("about", [set(), {OTHER}])
def test_a_statement_about_something_else_fails(about: set[Digest]) -> None:
    with pytest.raises(InvalidInput, match="about something else"):
        verify_bundle(BUNDLE, TRUSTED, about)


def test_a_key_that_nobody_trusts_fails() -> None:
    with pytest.raises(InvalidInput, match=r"key that is not trusted .*trusted: ci"):
        verify_bundle(sign_statement(STATEMENT, STRANGER), TRUSTED)
    with pytest.raises(InvalidInput, match=r"key that is not trusted .*trusted: none"):
        verify_bundle(BUNDLE, TrustedKeys({}))


def test_a_stranger_with_the_hint_of_a_trusted_key_fails() -> None:
    name = SIGNER.public_key.keyid

    def pretend(raw: dict[str, Any]) -> None:
        raw["verificationMaterial"]["publicKey"]["hint"] = name
        raw["dsseEnvelope"]["signatures"][0]["keyid"] = name

    with pytest.raises(InvalidInput, match="signature is not by the key 'ci'"):
        verify_bundle(altered(pretend, sign_statement(STATEMENT, STRANGER)), TRUSTED)


def test_a_changed_payload_fails() -> None:
    def change(raw: dict[str, Any]) -> None:
        payload = base64.b64decode(raw["dsseEnvelope"]["payload"]).replace(b"42", b"43")
        raw["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()

    with pytest.raises(InvalidInput, match="signature is not by the key 'ci'"):
        verify_bundle(altered(change), TRUSTED)


def test_the_signature_of_another_payload_fails() -> None:
    other = json.loads(sign_statement(STATEMENT.model_copy(update={"predicate": {}}), SIGNER))

    def change(raw: dict[str, Any]) -> None:
        raw["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]

    with pytest.raises(InvalidInput, match="signature is not by the key 'ci'"):
        verify_bundle(altered(change), TRUSTED)


ENVELOPE = "dsseEnvelope"
MALFORMED: dict[str, Callable[[dict[str, Any]], object]] = {
    "two signatures": lambda raw: raw[ENVELOPE]["signatures"].append(raw[ENVELOPE]["signatures"][0]),
    "no signature": lambda raw: raw[ENVELOPE]["signatures"].clear(),
    "signature by another key id": lambda raw: raw[ENVELOPE]["signatures"][0].update(keyid="other"),
    "signature without key id": lambda raw: raw[ENVELOPE]["signatures"][0].pop("keyid"),
    "empty signature": lambda raw: raw[ENVELOPE]["signatures"][0].update(sig=""),
    "signature not base64": lambda raw: raw[ENVELOPE]["signatures"][0].update(sig="*"),
    "signature a number": lambda raw: raw[ENVELOPE]["signatures"][0].update(sig=1),
    "hint of another key": lambda raw: raw["verificationMaterial"]["publicKey"].update(hint="other"),
    "no hint": lambda raw: raw["verificationMaterial"].clear(),
    "a certificate beside the key": lambda raw: raw["verificationMaterial"].update(certificate={}),
    "other payload type": lambda raw: raw[ENVELOPE].update(payloadType="application/json"),
    "other bundle version": lambda raw: raw.update(mediaType=BUNDLE_TYPE.replace("0.3", "0.1")),
    "no envelope": lambda raw: raw.pop(ENVELOPE),
    "a message signature too": lambda raw: raw.update(messageSignature={}),
    "empty payload": lambda raw: raw[ENVELOPE].update(payload=""),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_bundles_fail(what: str) -> None:
    with pytest.raises(InvalidInput):
        verify_bundle(altered(MALFORMED[what]), TRUSTED)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}',
        b'{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"a","digest":{"sha256":"%064d"}}],'
        b'"predicateType":"x","predicate":{}}' % 0,
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha1":"00"}}],'
        b'"predicateType":"x","predicate":{}}',
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"00"}}],'
        b'"predicateType":"x","predicate":{}}',
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"%064d"}}],'
        b'"predicateType":"x","predicateType":"y","predicate":{}}' % 0,
    ],
)
def test_a_signed_payload_that_is_no_statement_about_something_fails(payload: bytes) -> None:
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    signature = KEY.sign(encoded, ec.ECDSA(SHA256()))

    def change(raw: dict[str, Any]) -> None:
        raw[ENVELOPE]["payload"] = base64.b64encode(payload).decode()
        raw[ENVELOPE]["signatures"][0]["sig"] = base64.b64encode(signature).decode()

    with pytest.raises(InvalidInput):
        verify_bundle(altered(change), TRUSTED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
SUBJECTS = st.builds(
    lambda name, data: Subject(name=name, digest={"sha256": Digest.of(data).hex}), TEXT, st.binary(max_size=3)
)


@given(st.lists(SUBJECTS, min_size=1, max_size=3), TEXT, st.dictionaries(st.text(), JSON, max_size=3))
def test_every_statement_comes_back_signed(subjects: list[Subject], kind: str, predicate: dict[str, Any]) -> None:
    statement = Statement(subjects=tuple(subjects), predicate_type=kind, predicate=predicate)
    assert verify_bundle(sign_statement(statement, SIGNER), TRUSTED) == (statement, "ci")


@given(st.data())
def test_no_change_to_a_bundle_survives_verification(data: st.DataObject) -> None:
    raw = bytearray(BUNDLE)
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] = data.draw(st.integers(0, 255))
    try:
        found = verify_bundle(bytes(raw), TRUSTED)
    except InvalidInput:
        return
    assert found == (STATEMENT, "ci"), "a change that verifies must not change what is said"


@given(st.binary(max_size=200))
def test_any_bytes_fail_as_invalid_input(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        verify_bundle(raw, TRUSTED)
