"""Sessions of pipelines, whose own tokens end within minutes: what `docker login` keeps in place of a password.

A session holds the claims that were verified. What they are given is asked of the access file each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from gate.identity.tokens import ALGORITHM, LEEWAY_SECONDS, MAX_BYTES

SECONDS: Final = 3600
"""How long a push may go on after its pipeline has logged in."""

_AUDIENCE: Final = "mlgate/session"


@dataclass(frozen=True, slots=True)
class Session:
    """Whom an issuer has vouched for, with those of its claims that grants ask for."""

    issuer: str
    subject: str
    claims: Mapping[str, Any]


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True)

    aud: Literal["mlgate/session"]
    nbf: int
    exp: int
    issuer: str
    subject: Annotated[str, StringConstraints(min_length=1)]
    claims: dict[str, str | int | bool]


class Sessions:
    """Makes and reads sessions. Gates that share the `key` read each other's. `now` tells the time."""

    def __init__(self, key: bytes, now: Callable[[], datetime]) -> None:
        self._key = OctKey.import_key(key)
        self._now = now

    def issue(self, session: Session) -> str:
        begin = int(self._now().timestamp())
        kept = {name: value for name, value in session.claims.items() if isinstance(value, str | int | bool)}
        claims = {
            "aud": _AUDIENCE,
            "nbf": begin,
            "exp": begin + SECONDS,
            "issuer": session.issuer,
            "subject": session.subject,
            "claims": kept,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key)

    def read(self, token: str) -> Session | None:
        """The session; None for what is none, or has ended."""
        if len(token) > MAX_BYTES:
            return None
        try:
            claims = _Claims.model_validate(jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValidationError, ValueError, RecursionError):
            return None
        if not claims.nbf - LEEWAY_SECONDS <= self._now().timestamp() < claims.exp:
            return None
        return Session(claims.issuer, claims.subject, claims.claims)
