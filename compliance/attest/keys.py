"""Keys: ECDSA on P-256, private ones in PKCS#8 PEM, public ones in SubjectPublicKeyInfo PEM.

A key is named by the hint that sigstore bundles use: the base64 of the sha256 of its SubjectPublicKeyInfo
in DER. For people it is named by its file: `trusted-keys/ci.pem` is the key `ci`.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from compliance.errors import InvalidInput, Location

MAX_BYTES: Final = 64 << 10
SCHEME: Final = "ecdsa-sha2-nistp256"


def hint(key: ec.EllipticCurvePublicKey) -> str:
    """How a bundle names this key: base64(sha256(SubjectPublicKeyInfo in DER))."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def generate_key(private: Path, public: Path) -> None:
    """Make a key pair: `private` readable by its owner alone, `public` by anybody.

    Directories are made where they are missing. Raises InvalidInput when either file exists: a key is
    never overwritten.
    """
    _write_pair(ec.generate_private_key(ec.SECP256R1()), private, public)


def import_key(pem: bytes, private: Path, public: Path) -> None:
    """Put a private key that was made before where `generate_key` puts a new one, its public half included.

    Raises InvalidInput when it is not such a key, or either file exists.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput("is no private key in PEM without a password", at=Location(Path("-"))) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput(
            "is not an ECDSA P-256 key", at=Location(Path("-")), remedy="`mlbuild key new` makes such a key."
        )
    _write_pair(key, private, public)


def _write_pair(key: ec.EllipticCurvePrivateKey, private: Path, public: Path) -> None:
    for path in (private, public):
        if path.exists():
            raise InvalidInput(
                "exists, and keys are never overwritten", at=Location(path), remedy="Move it away first."
            )
    _write_new(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    spki = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, spki, 0o644)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error


def load_signer(path: Path) -> CryptoSigner:
    """The private key in `path`, ready to sign. Raises InvalidInput when there is none."""
    raw = _read(path, "Make a key with `mlbuild key new`, or set MLBUILD_KEY to yours.")
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            "is not an unencrypted private key in PEM", at=Location(path), remedy="PKCS#8, P-256, no passphrase."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput("is not an ECDSA key on P-256", at=Location(path))
    return CryptoSigner(key, _verifier(key.public_key()))


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key whose signatures count. `name` is its file's name without the ending."""

    name: str
    verifier: SSlibKey


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The public keys whose signatures count, by hint."""

    by_hint: Mapping[str, TrustedKey]

    @classmethod
    def load(cls, directory: Path) -> TrustedKeys:
        """Every `*.pem` in `directory`. An empty directory is allowed: then no signature counts.

        Raises InvalidInput when the directory is missing or a file in it is not a P-256 public key.
        """
        if not directory.is_dir():
            raise InvalidInput(
                "is not a directory of trusted public keys",
                at=Location(directory),
                remedy="Make it, and put the public keys (*.pem) into it whose signatures are to count.",
            )
        keys: dict[str, TrustedKey] = {}
        for path in sorted(directory.glob("*.pem")):
            public = _load_public(path)
            name = hint(public)
            if name in keys:
                raise InvalidInput(f"is the same key as {keys[name].name}.pem", at=Location(path))
            keys[name] = TrustedKey(path.stem, _verifier(public))
        return cls(keys)

    @classmethod
    def only(cls, path: Path) -> TrustedKeys:
        """The one public key in `path`, and no other. Raises InvalidInput when it is not a P-256 public key."""
        public = _load_public(path)
        return cls({hint(public): TrustedKey(path.stem, _verifier(public))})

    @classmethod
    def of(cls, name: str, signer: CryptoSigner) -> TrustedKeys:
        """Only the public half of `signer`, under `name`: what a builder trusts to check its own work."""
        return cls({signer.public_key.keyid: TrustedKey(name, signer.public_key)})


def _load_public(path: Path) -> ec.EllipticCurvePublicKey:
    raw = _read(path, None)
    if b"PRIVATE KEY" in raw:
        raise InvalidInput(
            "is a private key among the public ones", at=Location(path), remedy="Move it away and replace it."
        )
    try:
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput("is not a public key in PEM", at=Location(path)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput("is not an ECDSA key on P-256", at=Location(path))
    return key


def _verifier(key: ec.EllipticCurvePublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key, keyid=hint(key), scheme=SCHEME)


def _read(path: Path, remedy: str | None) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path), remedy=remedy) from error
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"is larger than {MAX_BYTES:,} bytes, so it is no key", at=Location(path))
    return raw
