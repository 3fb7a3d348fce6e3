"""Sessions of people in a browser: a cookie that says who has logged in, for some hours.

It holds a name and a mark of the secret that was right, or who a provider said it is, and no rights: what somebody
may see is asked anew each time, and a session ends with the user, robot, password or provider that it came from.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from gate.identity.access import AccessFile
from gate.identity.authentication import Authentication
from gate.identity.people import Person, identity_of, provider_of
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.tokens import ALGORITHM, LEEWAY_SECONDS
from gate.identity.watched import Watched

SECONDS: Final = 8 * 3600
"""A working day; after it, somebody logs in again."""

LONGEST: Final = 3800
"""Characters of a cookie that are looked at; browsers keep some more, with its name."""

_AUDIENCE: Final = "mlgate/pages"
_PERSON: Final = "mlgate/pages/person"


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True)

    aud: Literal["mlgate/pages"]
    sub: Annotated[str, StringConstraints(min_length=1)]
    nbf: int
    exp: int
    mark: str


class _PersonClaims(BaseModel):
    model_config = ConfigDict(frozen=True)

    aud: Literal["mlgate/pages/person"]
    sub: Annotated[str, StringConstraints(min_length=1)]
    nbf: int
    exp: int
    provider: str
    issuer: str
    client: str
    claims: dict[str, list[str]]
    called: str

    @property
    def person(self) -> Person:
        return Person(self.provider, self.issuer, self.client, self.sub, self.claims, self.called)


_CLAIMS: Final[TypeAdapter[_Claims | _PersonClaims]] = TypeAdapter(
    Annotated[_Claims | _PersonClaims, Field(discriminator="aud")]
)


class Browsing:
    """Makes and reads sessions. Gates that share the `key` read each other's. `now` tells the time."""

    def __init__(
        self,
        key: bytes,
        authentication: Authentication,
        access: Watched[AccessFile],
        now: Callable[[], datetime],
    ) -> None:
        self._secret = key
        self._key = OctKey.import_key(key)
        self._authentication = authentication
        self._access = access
        self._now = now

    def begin(self, name: str) -> str | None:
        """A session for somebody who has just logged in; None for who has no account here."""
        known = self._authentication.account(name)
        if known is None:
            return None
        return self._signed({"aud": _AUDIENCE, "sub": name, "mark": self._mark(known[1])}, SECONDS)

    def begin_person(self, person: Person) -> tuple[str, int]:
        """A session for somebody whom a provider has just vouched for, and its seconds.

        Raises NotProven for who may see nothing here.
        """
        access = self._access()
        provider = provider_of(access, person)
        if provider is None or identity_of(access, person) is None:
            raise NotProven(
                Why.WRONG, f"you are {person.called or person.subject}, to whom nothing is granted here"
            )
        claims = {
            "aud": _PERSON,
            "sub": person.subject,
            "provider": person.provider,
            "issuer": person.issuer,
            "client": person.client,
            "claims": dict(person.claims),
            "called": person.called,
        }
        session = self._signed(claims, provider.hours * 3600)
        if len(session) > LONGEST:
            raise NotProven(Why.WRONG, "you are in more groups than a browser can keep; have grants ask for fewer")
        return session, provider.hours * 3600

    def read(self, session: str) -> Identity | None:
        """Who a session is of, with what they may do now; None where it is none, or has ended."""
        claims, now = self._claims(session), self._now().timestamp()
        if claims is None:
            return None
        if isinstance(claims, _PersonClaims):
            access = self._access()
            provider = provider_of(access, claims.person)
            if provider is None or now >= claims.nbf + provider.hours * 3600:
                return None
            return identity_of(access, claims.person)
        known = self._authentication.account(claims.sub)
        if known is None or not hmac.compare_digest(claims.mark, self._mark(known[1])):
            return None
        return known[0]

    def person(self, session: str) -> Person | None:
        """Whom a provider vouched for; None for a session that has ended, or came by a password."""
        claims = self._claims(session)
        return claims.person if isinstance(claims, _PersonClaims) else None

    def _claims(self, session: str) -> _Claims | _PersonClaims | None:
        """What a session says; None where it is none, or its time is over."""
        if len(session) > LONGEST:
            return None
        try:
            claims = _CLAIMS.validate_python(jwt.decode(session, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValidationError, ValueError, RecursionError):
            return None
        good = claims.nbf - LEEWAY_SECONDS <= self._now().timestamp() < claims.exp
        return claims if good else None

    def _signed(self, claims: Mapping[str, Any], seconds: int) -> str:
        at = int(self._now().timestamp())
        return jwt.encode({"alg": ALGORITHM}, {**claims, "nbf": at, "exp": at + seconds}, self._key)

    def _mark(self, secret: bytes) -> str:
        """What changes with the secret, and tells nobody anything about it."""
        return hmac.new(self._secret, secret, hashlib.sha256).hexdigest()
