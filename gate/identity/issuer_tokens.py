"""ID tokens of issuers, verified (OpenID Connect Core 1.0, section 3.1.3.7): of pipelines, and of people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from gate.identity.issuer_keys import IssuerKeys
from gate.identity.proof import NotProven, Why

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key. `none`, and HMAC with the public key as its secret, are not among them."""

LEEWAY_SECONDS: Final = 30
MAX_BYTES: Final = 16 << 10
MAX_NAME: Final = 200


class IssuerTokens:
    """Reads tokens with the keys of their issuers. `now` tells the time. For several threads."""

    def __init__(self, http: httpx.Client, now: Callable[[], datetime]) -> None:
        self._http = http
        self._now = now
        self._keys: dict[str, IssuerKeys] = {}

    def read(self, token: bytes, name: str, issuer: str, audience: str) -> dict[str, Any]:
        """The claims of a token that the issuer, here called `name`, made for the audience alone, and that is good
        now. Raises NotProven, and Unavailable when the issuer's keys cannot be known."""
        header, _ = _unverified(token)
        claims = self._verified(name, issuer, token, header)
        if claims.get("aud") not in (audience, [audience]):
            raise NotProven(Why.WRONG, f"the token is not for the audience {audience!r} alone")
        rules = jwt.JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            rules.validate(claims)
        except JoseError as error:
            raise NotProven(Why.WRONG, f"the token of {name} is not good now: {error}") from error
        return claims

    def _verified(self, name: str, issuer: str, token: bytes, header: Mapping[str, Any]) -> dict[str, Any]:
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not (key_id is None or isinstance(key_id, str)):
            raise NotProven(Why.WRONG, f"the token is signed by {str(algorithm)[:20]!r}, which is not accepted")
        key = self._keys.setdefault(issuer, IssuerKeys(issuer, self._http)).find(key_id)
        if key is None:
            raise NotProven(Why.WRONG, f"the token is signed with a key that {name} does not have")
        registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            return jwt.decode(token, key, algorithms=[algorithm], registry=registry).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise NotProven(Why.WRONG, f"the token was not signed by {name}") from error


def claimed_issuer(token: bytes) -> object:
    """Of which issuer a token says that it is, before anything of it was verified. Raises NotProven."""
    return _unverified(token)[1].get("iss")


def looks_like_token(secret: bytes) -> bool:
    """Whether a password is the form of a JSON web token, which no password may be."""
    return secret.count(b".") == 2 and secret.startswith(b"eyJ")


def _unverified(token: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as somebody wrote them, to find out by whose key they are to be verified."""
    if len(token) <= MAX_BYTES:
        with suppress(JoseError, ValueError, TypeError, RecursionError):
            parts = jws.extract_compact(token)
            claims = json.loads(parts.payload or b"")
            if isinstance(claims, dict):
                return parts.headers(), claims
    raise NotProven(Why.WRONG, "the password is not a JSON web token")


def name_of(issuer: str, subject: str) -> str:
    """What decisions and logs call the holder of a token: short, and nothing but printable words."""
    readable = "".join(letter if letter.isprintable() and letter != " " else "?" for letter in subject)
    if len(readable) > MAX_NAME or readable != subject:
        readable = f"{readable[:MAX_NAME]}~{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
    return f"{issuer}:{readable}"
