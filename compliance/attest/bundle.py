"""Sigstore bundles v0.3 that hold a DSSE envelope signed with a plain key.

Specifications: https://github.com/sigstore/protobuf-specs (bundle), https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator
from pydantic.alias_generators import to_camel
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Signature

from compliance.attest.keys import TrustedKeys
from compliance.attest.statement import PAYLOAD_TYPE, Statement, parse_statement
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.strict_json import canonical, parse_object, validated

BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not a text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


Base64 = Annotated[
    bytes, PlainValidator(_decode), PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str)
]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class _PublicKey(_Wire):
    hint: str


class _Material(_Wire):
    public_key: _PublicKey


class _Signature(_Wire):
    sig: Base64
    keyid: str


class _Envelope(_Wire):
    payload: Base64
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: tuple[_Signature] = Field(description="exactly one")


class _Bundle(_Wire):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


def sign_statement(statement: Statement, signer: CryptoSigner) -> bytes:
    """The bundle that says `statement` with the authority of `signer`'s key. ECDSA signatures are random."""
    envelope = Envelope(statement.to_json(), PAYLOAD_TYPE, {})
    signature = envelope.sign(signer)
    name = signer.public_key.keyid
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": name}},
            "dsseEnvelope": {
                "payload": base64.b64encode(envelope.payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {"sig": base64.b64encode(bytes.fromhex(signature.signature)).decode(), "keyid": name}
                ],
            },
        }
    )


def verify_bundle(
    raw: bytes, trusted: TrustedKeys, about: Collection[Digest] | None = None
) -> tuple[Statement, str]:
    """The statement in a bundle, and the name of the trusted key that signed it.

    1. The bundle is a v0.3 bundle with a key hint and a DSSE envelope of an in-toto payload.
    2. It has exactly one signature, by the key that the hint names.
    3. The hint names a trusted key.
    4. The signature holds over the DSSE pre-authentication encoding of payload type and payload.
    5. The payload is a statement about something.
    6. The statement is about one of `about`. Left out, it is for the caller to ask `Statement.is_about`.

    Raises InvalidInput at the first step that fails. Nothing in the payload is looked at before step 4.
    """
    # 1.
    bundle = validated(parse_object(raw, "the bundle"), _Bundle, "sigstore bundle v0.3")
    # 2.
    (signature,) = bundle.dsse_envelope.signatures
    hint = bundle.verification_material.public_key.hint
    if signature.keyid != hint:
        raise InvalidInput("the bundle's signature and its hint name different keys")
    # 3.
    key = trusted.by_hint.get(hint)
    if key is None:
        known = ", ".join(sorted(each.name for each in trusted.by_hint.values())) or "none"
        raise InvalidInput(
            f"the bundle is signed by a key that is not trusted (sha256 {hint}; trusted: {known})",
            remedy="Have the builder's public key put among the trusted ones, or sign with a trusted key.",
        )
    # 4.
    payload = bundle.dsse_envelope.payload
    envelope = Envelope(payload, PAYLOAD_TYPE, {hint: Signature(hint, signature.sig.hex())})
    try:
        envelope.verify([key.verifier], threshold=1)
    except VerificationError as error:
        raise InvalidInput(f"the bundle's signature is not by the key {key.name!r} over this payload") from error
    # 5.
    statement = parse_statement(payload)
    # 6.
    if about is not None and not statement.is_about(about):
        named = ", ".join(f"{each.name}@sha256:{each.digest['sha256']}" for each in statement.subjects)
        raise InvalidInput(f"the statement is about something else: {named}")
    return statement, key.name


def unverified_predicate_type(raw: bytes) -> str:
    """The predicate type a bundle claims, its signature not checked: good for labels, not for decisions."""
    bundle = validated(parse_object(raw, "the bundle"), _Bundle, "sigstore bundle v0.3")
    return parse_statement(bundle.dsse_envelope.payload).predicate_type
