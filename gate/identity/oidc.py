"""Pipelines that log in with a token of their CI's issuer (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from gate.identity.access import AccessFile
from gate.identity.issuer_keys import IssuerKeys
from gate.identity.issuers import Issuer
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.sessions import Session, Sessions
from gate.identity.watched import Watched

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key. `none`, and HMAC with the public key as its secret, are not among them."""

LEEWAY_SECONDS: Final = 30
MAX_BYTES: Final = 16 << 10
MAX_NAME: Final = 200

log = logging.getLogger(__name__)


class Oidc:
    """Verifies tokens of the issuers in the access file. `now` tells the time. For several threads."""

    def __init__(
        self, access: Watched[AccessFile], http: httpx.Client, sessions: Sessions, now: Callable[[], datetime]
    ) -> None:
        self._sessions = sessions
        self._access = access
        self._http = http
        self._now = now
        self._keys: dict[str, IssuerKeys] = {}

    def log_in(self, token: bytes) -> Identity:
        """Who a token is for. Raises NotProven, and Unavailable when the issuer's keys cannot be known."""
        header, said = _unverified(token)
        issuer = self._issuer(said.get("iss"))
        if issuer is None:
            raise NotProven(Why.WRONG, "the token is of an issuer that is not trusted here")
        claims = self._verified(issuer, token, header)
        self._require_current(issuer, claims)
        kept = {claim: claims[claim] for claim in issuer.asked_for & claims.keys()}
        session = self._sessions.issue(Session(issuer.issuer, claims["sub"], kept))
        return _granted(issuer, claims["sub"], claims, session)

    def log_in_again(self, token: str) -> Identity:
        """Who a session is for, with what the access file gives now. Raises NotProven."""
        session = self._sessions.read(token)
        issuer = None if session is None else self._issuer(session.issuer)
        if session is None or issuer is None:
            raise NotProven(Why.WRONG, "the session is over; log in again")
        return _granted(issuer, session.subject, session.claims, token)

    def _issuer(self, address: object) -> Issuer | None:
        return next((one for one in self._access().oidc if one.issuer == address), None)

    def _verified(self, issuer: Issuer, token: bytes, header: Mapping[str, Any]) -> dict[str, Any]:
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not (key_id is None or isinstance(key_id, str)):
            raise NotProven(Why.WRONG, f"the token is signed by {str(algorithm)[:20]!r}, which is not accepted")
        keys = self._keys.setdefault(issuer.issuer, IssuerKeys(issuer.issuer, self._http))
        key = keys.find(key_id)
        if key is None:
            raise NotProven(Why.WRONG, f"the token is signed with a key that {issuer.name} does not have")
        registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            return jwt.decode(token, key, algorithms=[algorithm], registry=registry).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise NotProven(Why.WRONG, f"the token was not signed by {issuer.name}") from error

    def _require_current(self, issuer: Issuer, claims: dict[str, Any]) -> None:
        if claims.get("aud") not in (issuer.audience, [issuer.audience]):
            raise NotProven(Why.WRONG, f"the token is not for the audience {issuer.audience!r} alone")
        rules = jwt.JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            rules.validate(claims)
        except JoseError as error:
            raise NotProven(Why.WRONG, f"the token of {issuer.name} is not good now: {error}") from error


def _granted(issuer: Issuer, subject: str, claims: Mapping[str, Any], session: str) -> Identity:
    permissions = issuer.permissions(claims)
    name = _name(issuer.name, subject)
    if not permissions:
        raise NotProven(Why.WRONG, f"the token of {name} is good, but nothing is granted for its claims")
    return Identity(name, permissions, session=session)


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


def _name(issuer: str, subject: str) -> str:
    """What decisions and logs call the holder of a token: short, and nothing but printable words."""
    readable = "".join(letter if letter.isprintable() and letter != " " else "?" for letter in subject)
    if len(readable) > MAX_NAME or readable != subject:
        readable = f"{readable[:MAX_NAME]}~{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
    return f"{issuer}:{readable}"
