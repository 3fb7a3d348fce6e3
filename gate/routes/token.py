"""The token service (distribution's token and OAuth2 specifications): a login in, a token for minutes out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from compliance.oci.reference import is_repository
from gate.errors import Code, Fault
from gate.forms import read_form
from gate.identity.asking import BASIC, address_of, identify, in_login_threads
from gate.identity.authentication import Authentication, Login
from gate.identity.permissions import Action, Identity, Proof
from gate.identity.proof import NotProven
from gate.identity.tokens import Access
from gate.service import Service, TheService, root_url
from gate.telemetry.exchange import asked_by

router = APIRouter()
log = logging.getLogger(__name__)

MAX_SCOPES: Final = 32
CATALOG: Final = "registry:catalog:*"
"""The scope of a token for questions across repositories: it reviews what its owner may review."""

_ALL: Final = frozenset({Action.PULL, Action.PUSH, Action.DELETE})


@router.get("/token")
async def by_login(request: Request, service: TheService) -> Response:
    """A token for whoever the `Authorization` header proves, or for a stranger where strangers may do anything."""
    identity = await identify(service.authentication, request, root_url(service, request))
    if identity.proof is Proof.NOTHING and not identity.permissions:
        raise _unknown("a user name and password are needed")
    scopes = [scope for entry in request.query_params.getlist("scope") for scope in entry.split()]
    offline = request.query_params.get("offline_token") == "true"
    return await _answer(service, identity, scopes, offline=offline)


@router.post("/token")
async def by_form(request: Request, service: TheService) -> Response:
    """The same for clients that send their login, or the session they got by it, as an OAuth2 form (RFC 6749)."""
    address = address_of(request)
    service.authentication.limits.request(address)
    form = await read_form(request)
    try:
        identity = await in_login_threads(service.authentication, _by_grant, service.authentication, form, address)
    except NotProven as error:
        raise _unknown(error.message) from error
    offline = form.get("access_type") == "offline" or form["grant_type"] == "refresh_token"
    return await _answer(service, identity, form.get("scope", "").split(), offline=offline)


def _by_grant(authentication: Authentication, form: Mapping[str, str], address: str) -> Identity:
    kind = form.get("grant_type")
    if kind == "password":
        return authentication.log_in(Login(form.get("username", ""), form.get("password", "").encode()), address)
    if kind == "refresh_token":
        return authentication.log_in_again(form.get("refresh_token", ""), address)
    raise Fault(400, Code.UNSUPPORTED, "grant_type: password or refresh_token")


async def _answer(service: Service, identity: Identity, scopes: list[str], *, offline: bool) -> Response:
    asked_by(identity.name)
    access = await _allowed(service, identity, scopes)
    review = identity.patterns(Action.REVIEW) if CATALOG in scopes else frozenset[str]()
    issued = service.authentication.tokens.issue(identity.name, access, review)
    granted = [f"repository:{one.repository}:{','.join(sorted(one.actions))}" for one in access]
    answer = {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.seconds,
        "issued_at": issued.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "scope": " ".join([*granted, *([CATALOG] if review else [])]),
    }
    if offline and identity.session is not None:
        answer["refresh_token"] = identity.session
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def _allowed(service: Service, identity: Identity, scopes: list[str]) -> list[Access]:
    """What of the scopes somebody may have. What cannot be read is nothing, as in other token services."""
    if len(scopes) > MAX_SCOPES:
        raise Fault(400, Code.UNSUPPORTED, f"a token is for at most {MAX_SCOPES} scopes")
    if identity.proof is Proof.BEARER:
        raise _unknown("a token is got with a login, not with another token")
    access = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        repository, _, words = rest.rpartition(":")
        if kind != "repository" or not is_repository(repository):
            continue
        asked = set(words.split(","))
        wanted = _ALL if "*" in asked else {action for action in _ALL if action in asked}
        allowed = frozenset([one for one in wanted if await service.allows(identity, one, repository)])
        if allowed:
            access.append(Access(repository, allowed))
    return access


def _unknown(message: str) -> Fault:
    return Fault(401, Code.UNAUTHORIZED, message, headers={"WWW-Authenticate": BASIC})
