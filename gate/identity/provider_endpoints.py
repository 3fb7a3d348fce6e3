"""Where people are sent at a provider, as it says itself (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from compliance.errors import Unavailable
from gate.identity.issuer_keys import configuration_at, document
from gate.identity.issuers import require_safe
from gate.identity.providers import LoginProvider

FRESH_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 10.0
"""Between two questions to a provider that did not answer, so that its silence does not fill the login threads."""


class Endpoints(BaseModel):
    """What a provider says of itself (Discovery, section 3; RFC 9207; RP-Initiated Logout 1.0, section 2.1)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False
    end_session_endpoint: str | None = None

    @property
    def ends_at(self) -> str | None:
        """Where a session ends; None where it ends here alone, as for an address that is not safe."""
        try:
            require_safe((self.end_session_endpoint or "").partition("?")[0])
        except ValueError:
            return None
        return self.end_session_endpoint


class ProviderEndpoints:
    """Of each provider, kept for a while. For several threads; `clock` counts seconds."""

    def __init__(self, http: httpx.Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        self._known: dict[str, tuple[Endpoints | None, float]] = {}
        self._lock = threading.Lock()

    def of(self, provider: LoginProvider) -> Endpoints:
        """Raises Unavailable where the provider does not answer, or names no safe addresses to log in by."""
        with self._lock:
            found, until = self._known.get(provider.issuer, (None, 0.0))
            if self._clock() >= until:
                found = self._discovered(provider)
                until = self._clock() + (PAUSE_SECONDS if found is None else FRESH_SECONDS)
                self._known[provider.issuer] = found, until
        if found is None:
            raise Unavailable(f"{provider.title} does not answer as it should; try again in a minute")
        return found

    def _discovered(self, provider: LoginProvider) -> Endpoints | None:
        try:
            raw = document(self._http, configuration_at(provider.issuer))
            found = Endpoints.model_validate_json(raw)
            for each in (found.authorization_endpoint, found.token_endpoint):
                require_safe(each.partition("?")[0])
        except (httpx.HTTPError, ValidationError, ValueError, RecursionError):
            return None
        return found if found.issuer == provider.issuer else None


def asked(endpoint: str, query: Mapping[str, str]) -> str:
    """An endpoint with these parameters, beside those that it has already (RFC 6749, section 3.1)."""
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
