"""Sessions of people in a browser: a cookie that says who has logged in, for some hours.

It holds a name and a mark of the secret that was right, and no rights: what somebody may see is asked anew each
time, and a session ends with the user, robot or password that it came from.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from gate.identity.authentication import Authentication
from gate.identity.permissions import Identity
from gate.identity.tokens import ALGORITHM, LEEWAY_SECONDS

SECONDS: Final = 8 * 3600
"""A working day; after it, somebody logs in again."""

LONGEST: Final = 2048
"""Characters of a cookie that are looked at."""

_AUDIENCE: Final = "mlgate/pages"


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True)

    aud: Literal["mlgate/pages"]
    sub: Annotated[str, StringConstraints(min_length=1)]
    nbf: int
    exp: int
    mark: str


class Browsing:
    """Makes and reads sessions. Gates that share the `key` read each other's. `now` tells the time."""

    def __init__(self, key: bytes, authentication: Authentication, now: Callable[[], datetime]) -> None:
        self._secret = key
        self._key = OctKey.import_key(key)
        self._authentication = authentication
        self._now = now

    def begin(self, name: str) -> str | None:
        """A session for somebody who has just logged in; None for who has no account here."""
        known = self._authentication.account(name)
        if known is None:
            return None
        at = int(self._now().timestamp())
        claims = {"aud": _AUDIENCE, "sub": name, "nbf": at, "exp": at + SECONDS, "mark": self._mark(known[1])}
        return jwt.encode({"alg": ALGORITHM}, claims, self._key)

    def read(self, session: str) -> Identity | None:
        """Who a session is of, with what they may do now; None where it is none, or has ended."""
        if len(session) > LONGEST:
            return None
        try:
            claims = _Claims.model_validate(jwt.decode(session, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValidationError, ValueError, RecursionError):
            return None
        if not claims.nbf - LEEWAY_SECONDS <= self._now().timestamp() < claims.exp:
            return None
        known = self._authentication.account(claims.sub)
        if known is None or not hmac.compare_digest(claims.mark, self._mark(known[1])):
            return None
        return known[0]

    def _mark(self, secret: bytes) -> str:
        """What changes with the secret, and tells nobody anything about it."""
        return hmac.new(self._secret, secret, hashlib.sha256).hexdigest()
