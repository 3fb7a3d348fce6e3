"""Keys are made, kept and loaded as they should be; anything else in their place is named."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from compliance.attest.keys import TrustedKeys, generate_key, load_signer
from compliance.errors import InvalidInput


def test_a_generated_key_is_private_and_the_pair_fits(tmp_path: Path) -> None:
    private, public = tmp_path / "secret" / "key.pem", tmp_path / "trusted" / "ci.pem"
    generate_key(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    trusted = TrustedKeys.load(public.parent)
    key = trusted.by_hint[load_signer(private).public_key.keyid]
    assert key.name == "ci"


def test_the_hint_is_the_hash_of_the_public_key(tmp_path: Path) -> None:
    generate_key(tmp_path / "key.pem", tmp_path / "ci.pem")
    der = load_pem_public_key((tmp_path / "ci.pem").read_bytes()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    expected = base64.b64encode(hashlib.sha256(der).digest()).decode()
    assert load_signer(tmp_path / "key.pem").public_key.keyid == expected


@pytest.mark.parametrize("existing", ["key.pem", "ci.pem"])
def test_a_key_is_never_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("precious")
    with pytest.raises(InvalidInput, match="never overwritten"):
        generate_key(tmp_path / "key.pem", tmp_path / "ci.pem")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"key\.pem: cannot be written"):
        generate_key(tmp_path / "file" / "key.pem", tmp_path / "ci.pem")


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an unencrypted private key"),
        (
            b"-----BEGIN PRIVATE KEY-----\nnot base64\n-----END PRIVATE KEY-----\n",
            "not an unencrypted private key",
        ),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"password"), "not an unencrypted private key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not an ECDSA key on P-256"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "not an ECDSA key on P-256"),
        (b"x" * 100_000, "larger than"),
    ],
    ids=["nothing", "not base64", "encrypted", "on another curve", "of another kind", "too large"],
)
def test_what_is_no_signing_key_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(InvalidInput, match=why) as caught:
        load_signer(tmp_path / "key.pem")
    assert caught.value.at is not None


def test_a_missing_key_comes_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        load_signer(tmp_path / "key.pem")
    assert caught.value.remedy


def test_a_missing_directory_of_trusted_keys_is_refused_and_an_empty_one_trusts_nobody(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a directory of trusted public keys"):
        TrustedKeys.load(tmp_path / "none")
    assert TrustedKeys.load(tmp_path).by_hint == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nothing", "not a public key in PEM"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "a private key among the public ones"),
        (
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "not an ECDSA key on P-256",
        ),
    ],
    ids=["nothing", "private", "of another kind"],
)
def test_what_is_no_public_key_among_the_trusted_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "ci.pem").write_bytes(content)
    with pytest.raises(InvalidInput, match=why):
        TrustedKeys.load(tmp_path)


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path / "secret" / "key.pem", tmp_path / "a.pem")
    (tmp_path / "b.pem").write_bytes((tmp_path / "a.pem").read_bytes())
    with pytest.raises(InvalidInput, match=r"b\.pem: is the same key as a\.pem"):
        TrustedKeys.load(tmp_path)
