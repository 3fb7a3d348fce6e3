"""Logging in: a password, or the token of a CI, exchanged for a session where the registry gives one."""

from __future__ import annotations

import httpx
from pydantic import BaseModel, ValidationError

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.authentication import Challenge
from compliance.oci.credentials import IDENTITY_TOKEN, Credentials
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.oci.transport import is_loopback

_TURNED_DOWN = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
_WAIT = httpx.Timeout(30)


class _Answer(BaseModel):
    refresh_token: str | None = None


def open_session(registry: str, credentials: Credentials) -> Credentials:
    """What to go on with after logging in: a session (the token specification's refresh token), else the same.

    A CI's token is good for minutes; a session outlives a long push. Raises InvalidInput when the login is
    turned down, Unavailable when the registry or its token service does not answer.
    """
    plain = is_loopback(registry)
    try:
        with httpx.Client(timeout=_WAIT, trust_env=not plain, headers={"User-Agent": "mlbuild"}) as http:
            asked = http.get(f"{'http' if plain else 'https'}://{registry}/v2/")
            challenge = Challenge.parse(asked.headers.get("WWW-Authenticate", ""))
            realm = challenge.parameters.get("realm")
            if challenge.scheme != "bearer" or realm is None:
                return credentials
            if not realm.startswith("https://") and not (plain and realm.startswith("http://")):
                raise Unavailable(f"{registry} names the token service {realm!r}, which is not reached over TLS")
            query = {"service": challenge.parameters.get("service", ""), "offline_token": "true"}
            query["client_id"] = "mlbuild"
            answer = http.get(realm, params=query, headers={"Authorization": credentials.basic})
    except httpx.HTTPError as error:
        raise Unavailable(f"{registry} does not answer: {error}") from error
    return _session(registry, answer, credentials)


def require_accepted(registry: str, credentials: Credentials) -> None:
    """Raise InvalidInput when the registry turns this login down, Unavailable when it does not answer."""
    try:
        with RegistryClient(registry, credentials=credentials) as client:
            client.ping()
    except RegistryError as error:
        if error.status not in _TURNED_DOWN:
            raise
        raise InvalidInput(
            f"log in to {registry}: {error.reason}",
            remedy="Mend the user name or the password, or ask the platform team for an account.",
        ) from error


def _session(registry: str, answer: httpx.Response, credentials: Credentials) -> Credentials:
    if answer.status_code in _TURNED_DOWN:
        raise InvalidInput(
            f"log in to {registry}: {_reason(answer)}",
            remedy="Ask the platform team which claims the gate's access file grants something.",
        )
    try:
        given = _Answer.model_validate_json(answer.content).refresh_token if answer.is_success else None
    except ValidationError as error:
        raise Unavailable(f"the token service of {registry} answered without a token") from error
    if not answer.is_success:
        raise Unavailable(f"the token service of {registry} answered {answer.status_code}")
    return credentials if given is None else Credentials(IDENTITY_TOKEN, given, session=True)


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"
