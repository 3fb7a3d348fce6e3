"""How a client proves itself to a registry: basic, or the bearer tokens of the distribution specification."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import Final

import httpx
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from compliance.errors import Unavailable
from compliance.oci.credentials import Credentials

_CHALLENGE: Final = re.compile(r'([a-zA-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_DEFAULT_SECONDS: Final = 60  # what a token without expires_in is good for, by the specification
_MARGIN_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Challenge:
    """A `WWW-Authenticate` header (RFC 9110, 11.6.1). `scheme` is in lower case."""

    scheme: str
    parameters: dict[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        scheme, _, rest = header.strip().partition(" ")
        pairs = {match[1].lower(): match[2] or match[3] or "" for match in _CHALLENGE.finditer(rest)}
        return cls(scheme.lower(), pairs)


class _Token(BaseModel):
    value: str = Field(validation_alias=AliasChoices("token", "access_token"), min_length=1)
    expires_in: int = _DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class _Kept:
    header: str
    until: float  # on the monotonic clock, in seconds


class Authenticator:
    """Answers the challenges of one registry and keeps the answers by scope. May be used from several threads.

    Credentials go to the realm that the registry names, over TLS unless the registry itself is reached in
    plain text.
    """

    def __init__(self, credentials: Credentials | None, http: httpx.Client, *, plain_http: bool) -> None:
        self._credentials = credentials
        self._http = http
        self._plain_http = plain_http
        self._kept: dict[str, _Kept] = {}
        self._basic: str | None = None
        self._lock = threading.Lock()

    def header(self, scope: str) -> str | None:
        """The `Authorization` value known to serve `scope`, or None before the first challenge."""
        with self._lock:
            kept = self._kept.get(scope)
            if kept is not None and kept.until > time.monotonic():
                return kept.header
            return self._basic

    def answer(self, www_authenticate: str, scope: str) -> str | None:
        """The `Authorization` value that answers a challenge, or None when there is none or it is turned down.

        Raises Unavailable when the token service does not work.
        """
        challenge = Challenge.parse(www_authenticate)
        if challenge.scheme == "basic" and self._credentials is not None and not self._credentials.session:
            with self._lock:
                self._basic = self._credentials.basic
            return self._basic
        if challenge.scheme != "bearer" or "realm" not in challenge.parameters:
            return None
        token = self._fetch(challenge, scope)
        if token is None:
            return None
        lifetime = max(token.expires_in, _DEFAULT_SECONDS) - _MARGIN_SECONDS
        kept = _Kept(f"Bearer {token.value}", time.monotonic() + lifetime)
        with self._lock:
            self._kept[scope] = kept
        return kept.header

    def _fetch(self, challenge: Challenge, scope: str) -> _Token | None:
        realm = challenge.parameters["realm"]
        if not realm.startswith("https://") and not (self._plain_http and realm.startswith("http://")):
            raise Unavailable(f"the registry names the token service {realm!r}, which is not reached over TLS")
        asked = {
            "service": challenge.parameters.get("service"),
            "scope": _wider(scope, challenge.parameters.get("scope", "")),
        }
        query = {name: value for name, value in asked.items() if value}
        try:
            response = self._ask(realm, query)
        except httpx.HTTPError as error:
            raise Unavailable(f"the token service {realm} does not answer: {error}") from error
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return None
        if response.status_code != httpx.codes.OK:
            raise Unavailable(f"the token service {realm} answered {response.status_code}")
        try:
            return _Token.model_validate_json(response.content)
        except ValidationError as error:
            raise Unavailable(f"the token service {realm} answered without a token") from error

    def _ask(self, realm: str, query: dict[str, str]) -> httpx.Response:
        known = self._credentials
        if known is None:
            return self._http.get(realm, params=query)
        if known.session:  # the OAuth2 form of the token specification
            grant = {"grant_type": "refresh_token", "refresh_token": known.password, "client_id": "mlbuild"}
            return self._http.post(realm, data={**query, **grant})
        return self._http.get(realm, params=query, headers={"Authorization": known.basic})


def _wider(known: str, asked: str) -> str:
    """The scope to get a token for: the one known to be needed where it covers what a registry asks for.

    A registry asks for what one request takes, and the next would be for another token.
    """
    covers = _actions(known)
    covered = all(actions <= covers.get(name, set()) for name, actions in _actions(asked).items())
    return known if known and covered else asked


def _actions(scope: str) -> dict[str, set[str]]:
    """What is asked for of each `type:name` in a scope of the token specification."""
    found: dict[str, set[str]] = {}
    for name, _, actions in (entry.rpartition(":") for entry in scope.split()):
        found.setdefault(name, set()).update(actions.split(","))
    return found
