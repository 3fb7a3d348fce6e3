"""The public keys of one OIDC issuer (OpenID Connect Discovery 1.0), fetched when needed and kept for a while."""

from __future__ import annotations

import json
import logging
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import BaseModel, ValidationError

from compliance.errors import Unavailable
from gate.identity.issuers import require_safe

FRESH_SECONDS: Final = 600.0
"""How long keys are used without a look for new ones."""

PAUSE_SECONDS: Final = 30.0
"""Between two fetches, whatever tokens arrive: an unknown key, of which anybody can make any number, costs one."""

STALE_SECONDS: Final = 3600.0
"""How long keys are used while the issuer does not answer. A key that it has withdrawn counts that long."""

FETCH_SECONDS: Final = 5.0
MAX_BYTES: Final = 1 << 20
MIN_RSA_BITS: Final = 2048

Key = RSAKey | ECKey | OKPKey
_KINDS: Final[Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}

log = logging.getLogger(__name__)


class _Configuration(BaseModel):
    issuer: str
    jwks_uri: str


class _KeyEntry(BaseModel, extra="allow"):
    kty: str
    kid: str = ""
    use: str = "sig"


class _KeySet(BaseModel):
    keys: tuple[_KeyEntry, ...]


class IssuerKeys:
    """May be used from several threads. `clock` counts seconds."""

    def __init__(self, issuer: str, http: httpx.Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = threading.Lock()

    def find(self, key_id: str | None) -> Key | None:
        """The key of this id; without one, the only key there is. None when the issuer has no such key.

        Raises Unavailable when its keys cannot be known.
        """
        with self._lock:
            now = self._clock()
            known = self._chosen(key_id)
            if (known is None or now - self._fetched > FRESH_SECONDS) and now - self._tried >= PAUSE_SECONDS:
                self._tried = now
                self._fetch()
                known = self._chosen(key_id)
            if self._clock() - self._fetched > STALE_SECONDS:
                raise Unavailable(
                    f"the keys of {self._issuer} cannot be fetched; nobody is logged in by its tokens"
                )
            return known

    def _chosen(self, key_id: str | None) -> Key | None:
        if key_id is not None:
            return self._keys.get(key_id)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _fetch(self) -> None:
        try:
            raw = document(self._http, configuration_at(self._issuer))
            configuration = _Configuration.model_validate_json(raw)
            if configuration.issuer != self._issuer:
                raise ValueError(f"it calls itself {configuration.issuer!r}")
            require_safe(configuration.jwks_uri.partition("?")[0])
            keys = _KeySet.model_validate_json(document(self._http, configuration.jwks_uri)).keys
        except (httpx.HTTPError, ValidationError, ValueError, RecursionError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            log.warning("the keys of %s cannot be fetched: %s", self._issuer, problem)
            return
        self._keys = {entry.kid: key for entry in keys if (key := _imported(entry)) is not None}
        self._fetched = self._clock()
        log.info("the issuer %s has %d keys", self._issuer, len(self._keys))


def fetched(http: httpx.Client, method: str, url: str, **given: Any) -> tuple[int, bytes]:
    """Status and body of an answer, whole, within FETCH_SECONDS and MAX_BYTES. Redirects are not followed.

    Raises httpx.HTTPError, and ValueError for an answer that is too long or too slow.
    """
    deadline = time.monotonic() + FETCH_SECONDS
    data = bytearray()
    with http.stream(method, url, timeout=FETCH_SECONDS, follow_redirects=False, **given) as response:
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > MAX_BYTES or time.monotonic() > deadline:
                raise ValueError(f"{url} answers with too much, or too slowly")
    return response.status_code, bytes(data)


def document(http: httpx.Client, url: str) -> bytes:
    """What there is at an address. Raises as `fetched` does, and ValueError where there is nothing."""
    status, raw = fetched(http, "GET", url)
    if status != httpx.codes.OK:
        raise ValueError(f"{url} answered {status}")
    return raw


def configuration_at(issuer: str) -> str:
    """Where an issuer says what it is (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def _imported(entry: _KeyEntry) -> Key | None:
    """The public key in an entry of a key set; None for one that is not for signatures, or too weak."""
    kind = _KINDS.get(entry.kty)
    if kind is None or entry.use != "sig":
        return None
    words: dict[str, Any] = json.loads(entry.model_dump_json())
    try:
        if kind is RSAKey and _bits(words["n"]) < MIN_RSA_BITS:
            return None
        return kind.import_key({name: value for name, value in words.items() if name not in {"d", "p", "q"}})
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(f"{number}==")).bit_length()
