"""Logging people in by a provider, and out: the authorization code flow (OpenID Connect Core 1.0, section 3.1).

What the browser brings back counts only in the browser that was sent away: state, nonce and the PKCE verifier
(RFC 7636) are in a cookie of its own, signed, for ten minutes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from compliance.errors import Unavailable
from gate.identity.access import AccessFile
from gate.identity.issuer_keys import fetched
from gate.identity.issuer_tokens import IssuerTokens
from gate.identity.people import Person, provider_of
from gate.identity.proof import NotProven, Why
from gate.identity.provider_endpoints import Endpoints, ProviderEndpoints, asked
from gate.identity.providers import LoginProvider
from gate.identity.tokens import ALGORITHM, LEEWAY_SECONDS
from gate.identity.watched import Watched

SECONDS: Final = 600
"""How long somebody may take at the provider."""

MAX_WANTED: Final = 1024
MAX_COOKIE: Final = 4096
_AUDIENCE: Final = "mlgate/login"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a browser is sent, and the cookie by which it is known when it comes back."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who came back, what they `wanted` to see, and the ID token, which tells the provider whose session ends."""

    person: Person
    wanted: str
    token: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a browser is sent to end its session there too, and the `state` that it brings back."""

    url: str
    state: str


class _Begun(BaseModel):
    model_config = ConfigDict(frozen=True)

    aud: Literal["mlgate/login"]
    nbf: int
    exp: int
    provider: str
    state: Annotated[str, StringConstraints(min_length=20)]
    nonce: Annotated[str, StringConstraints(min_length=20)]
    verifier: Annotated[str, StringConstraints(min_length=43)]
    wanted: str


class _Tokens(BaseModel):
    id_token: str


class CodeFlow:
    """For several threads. Gates that share the `key` go on with each other's logins. `now` tells the time."""

    def __init__(
        self,
        access: Watched[AccessFile],
        http: httpx.Client,
        tokens: IssuerTokens,
        key: bytes,
        now: Callable[[], datetime],
    ) -> None:
        self._access = access
        self._http = http
        self._tokens = tokens
        self._key = OctKey.import_key(key)
        self._now = now
        self._endpoints = ProviderEndpoints(http)

    @property
    def providers(self) -> tuple[LoginProvider, ...]:
        """Those that people can log in by now."""
        return self._access().login

    def begin(self, name: str, back: str, wanted: str) -> Begun:
        """Send somebody to a provider, from where they come `back`, and go on to what they `wanted` to see.

        Raises NotProven where there is no such provider, Unavailable where it does not answer.
        """
        provider = self._provider(name)
        endpoints = self._endpoints.of(provider)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        at = int(self._now().timestamp())
        claims = {
            "aud": _AUDIENCE,
            "nbf": at,
            "exp": at + SECONDS,
            "provider": provider.name,
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "wanted": wanted if len(wanted) <= MAX_WANTED else "/",
        }
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": back,
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        url = asked(endpoints.authorization_endpoint, query)
        return Begun(url, jwt.encode({"alg": ALGORITHM}, claims, self._key))

    def finish(self, name: str, cookie: str, answer: Mapping[str, str], back: str) -> Arrived:
        """Who came back, and what they wanted to see. `answer` is what the provider gave the browser to bring.

        Raises NotProven, and Unavailable where the provider does not answer.
        """
        begun = self._read(cookie)
        if begun is None or begun.provider != name:
            raise NotProven(Why.WRONG, "this login was not begun in this browser, or too long ago; begin it anew")
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise NotProven(Why.WRONG, "this is the answer to another login; begin it anew")
        provider = self._provider(name)
        endpoints = self._endpoints.of(provider)
        issuer = answer.get("iss")
        if issuer != provider.issuer and (
            issuer is not None or endpoints.authorization_response_iss_parameter_supported
        ):
            raise NotProven(Why.WRONG, "this is the answer of another provider")
        if "code" not in answer:
            raise NotProven(Why.WRONG, f"{provider.title} did not log you in: {_shown(answer.get('error', '?'))}")
        token = self._redeem(provider, endpoints, answer["code"], begun.verifier, back)
        claims = self._tokens.read(token.encode(), provider.name, provider.issuer, provider.client_id)
        nonce, party = claims.get("nonce"), claims.get("azp", provider.client_id)
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), begun.nonce.encode()):
            raise NotProven(Why.WRONG, "the token was made for another login")
        if party != provider.client_id:
            raise NotProven(Why.WRONG, "the token was made for another client")
        return Arrived(Person.of(provider, claims), begun.wanted, token)

    def end(self, person: Person, token: str, back: str) -> Ending | None:
        """End somebody's session at their provider, from where they come `back`.

        None where it has no safe place for that, or is a provider here no more. `token` is the ID token of their
        login, or empty; without it providers may ask people whether they mean it. Raises Unavailable where the
        provider does not answer (OpenID Connect RP-Initiated Logout 1.0, section 2).
        """
        provider = provider_of(self._access(), person)
        endpoint = None if provider is None else self._endpoints.of(provider).ends_at
        if provider is None or endpoint is None:
            return None
        state = secrets.token_urlsafe(32)
        query = {"client_id": provider.client_id, "post_logout_redirect_uri": back, "state": state}
        hint = {"id_token_hint": token} if token else {}
        return Ending(asked(endpoint, {**hint, **query}), state)

    def _provider(self, name: str) -> LoginProvider:
        found = next((one for one in self.providers if one.name == name), None)
        if found is None:
            raise NotProven(Why.WRONG, "there is no such way to log in, or not any more")
        return found

    def _read(self, cookie: str) -> _Begun | None:
        if len(cookie) > MAX_COOKIE:
            return None
        try:
            begun = _Begun.model_validate(jwt.decode(cookie, self._key, algorithms=[ALGORITHM]).claims)
        except (JoseError, ValidationError, ValueError, RecursionError):
            return None
        return begun if begun.nbf - LEEWAY_SECONDS <= self._now().timestamp() < begun.exp else None

    def _redeem(self, provider: LoginProvider, endpoints: Endpoints, code: str, verifier: str, back: str) -> str:
        """The ID token for a code (RFC 6749, section 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        headers, secret = {"Accept": "application/json"}, provider.secret
        if secret is None:
            form["client_id"] = provider.client_id
        elif "client_secret_basic" in endpoints.token_endpoint_auth_methods_supported:
            login = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        else:
            form |= {"client_id": provider.client_id, "client_secret": secret}
        try:
            status, raw = fetched(self._http, "POST", endpoints.token_endpoint, data=form, headers=headers)
            if status == httpx.codes.OK:
                return _Tokens.model_validate_json(raw).id_token
        except (httpx.HTTPError, ValidationError, ValueError, RecursionError) as error:
            raise Unavailable(f"{provider.title} does not answer as it should; begin the login anew") from error
        raise NotProven(Why.WRONG, f"{provider.title} did not confirm the login: {_error_of(raw)}")


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _error_of(raw: bytes) -> str:
    try:
        said: Any = json.loads(raw)
        return _shown(said["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "it gives no reason"


def _shown(text: object) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in str(text)[:80])
