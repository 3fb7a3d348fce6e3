"""The gate's own tokens: who, and what they may do for a few minutes (distribution's token specification).

They are signed with a key that all gates on one database share, since nobody else has to read them.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from compliance.oci.reference import is_repository
from gate.identity.permissions import Action, Identity, Permission, Proof

SERVICE: Final = "mlgate"
"""What the gate calls itself in challenges and tokens."""

ALGORITHM: Final = "HS256"
LEEWAY_SECONDS: Final = 5
"""How far the clocks of gates on one database may be apart."""

MAX_BYTES: Final = 16 << 10
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Access:
    """Actions on one repository: an entry of a token's `access` claim."""

    repository: str
    actions: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token, and when it ends: `seconds` after `at`."""

    token: str
    at: datetime
    seconds: int


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: Literal["repository"]
    name: str
    actions: tuple[Action, ...]


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True)

    iss: Literal["mlgate"]
    aud: Literal["mlgate"]
    sub: Annotated[str, StringConstraints(min_length=1)]
    iat: int
    nbf: int
    exp: int
    access: tuple[_Entry, ...]
    review: tuple[str, ...] = ()


class Tokens:
    """Makes and reads tokens. `seconds` is what they live, `now` tells the time. For several threads."""

    def __init__(self, key: bytes, seconds: int, now: Callable[[], datetime]) -> None:
        self._key = OctKey.import_key(key)
        self._seconds = seconds
        self._now = now
        self._read: OrderedDict[bytes, tuple[Identity, _Claims]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, name: str, access: Iterable[Access], review: Iterable[str] = ()) -> Issued:
        """A token for somebody who may do what `access` says, and review what fits the patterns of `review`."""
        at = self._now().astimezone(UTC).replace(microsecond=0)
        begin = int(at.timestamp())
        claims = {
            "iss": SERVICE,
            "aud": SERVICE,
            "sub": name,
            "iat": begin,
            "nbf": begin,
            "exp": begin + self._seconds,
            "jti": secrets.token_urlsafe(12),
            "access": [
                {"type": "repository", "name": one.repository, "actions": sorted(one.actions)} for one in access
            ],
            "review": sorted(review),
        }
        return Issued(jwt.encode({"alg": ALGORITHM}, claims, self._key), at, self._seconds)

    def read(self, token: str) -> Identity | None:
        """Who a token is for, with what it allows; None when it is not the gate's, or is not good any more."""
        if len(token) > MAX_BYTES:
            return None
        mark = hashlib.sha256(token.encode()).digest()
        with self._lock:
            known = self._read.get(mark)
        if known is None:
            known = self._verified(token)
            if known is None:
                return None
            with self._lock:
                self._read[mark] = known
                while len(self._read) > _REMEMBERED:
                    self._read.popitem(last=False)
        identity, claims = known
        now = self._now().timestamp()
        return identity if claims.nbf - LEEWAY_SECONDS <= now < claims.exp else None

    def _verified(self, token: str) -> tuple[Identity, _Claims] | None:
        try:
            claims = _Claims.model_validate(jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValidationError, ValueError, RecursionError):
            return None
        # Names are compared as patterns, so what could be more than a name is none.
        permissions = [
            Permission(frozenset(entry.actions), (entry.name,))
            for entry in claims.access
            if is_repository(entry.name)
        ]
        if claims.review:
            permissions.append(Permission(frozenset({Action.REVIEW}), claims.review))
        return Identity(claims.sub, tuple(permissions), Proof.BEARER), claims
