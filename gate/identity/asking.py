"""Who sends a request, and the answers to those who may not do what they ask for.

Registry clients are sent to the token service (distribution's token specification), everybody else is asked for
a user name and password, which browsers have a window for. A challenge depends on what was asked for and never
on what there is, so nobody learns from it what exists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

from fastapi import Request

from compliance.oci.reference import is_repository
from gate.errors import Code, Fault
from gate.identity.authentication import Authentication
from gate.identity.permissions import Action, Identity, Proof
from gate.identity.proof import NotProven, Why
from gate.identity.tokens import SERVICE
from gate.identity.users import ANONYMOUS

T = TypeVar("T")

BASIC: Final = 'Basic realm="mlgate", charset="UTF-8"'

_SCOPES: Final = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}


async def identify(authentication: Authentication, request: Request, root: str) -> Identity:
    """Who sends a request; without an `Authorization`, a stranger. Raises the 401 answer for a wrong one.

    `root` is the URL by which the client knows the gate.
    """
    given = request.headers.getlist("Authorization")
    address = address_of(request)
    if not given:
        authentication.limits.request(address)
        return authentication.stranger
    if len(given) > 1:
        raise Fault(400, Code.UNSUPPORTED, "there is more than one Authorization header")
    identity = authentication.at_once(given[0])
    if identity is None:
        try:
            identity = await in_login_threads(authentication, authentication.check, given[0], address)
        except NotProven as error:
            authentication.limits.request(address)
            raise _challenge(request, root, error.message, error=error.why) from error
    authentication.limits.request(address if identity.name == ANONYMOUS else identity.name)
    return identity


def address_of(request: Request) -> str:
    """Where a request comes from; what it says of that itself does not count."""
    return "" if request.client is None else request.client.host


async def in_login_threads(authentication: Authentication, check: Callable[..., T], *given: Any) -> T:
    """What `check` finds out, in a thread that is there for that."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(authentication.threads, partial(copy_context().run, check, *given))


def require_proof(identity: Identity, request: Request, root: str) -> None:
    """Raise the 401 answer for a stranger, who may greet the registry with a token all the same, as clients do."""
    greets = identity.proof is Proof.BEARER and request.url.path.startswith("/v2")
    if identity.name == ANONYMOUS and not greets:
        raise _challenge(request, root, "log in first")


def not_allowed(identity: Identity, action: Action, repository: str, request: Request, root: str) -> Fault:
    """The answer to somebody who may not do this.

    A token can be exchanged for one that allows more, so it is answered 401. What somebody who logged in may not
    pull does not exist for them.
    """
    scope = _scope(action, repository, request)
    if identity.proof is Proof.NOTHING:
        return _challenge(request, root, f"to {action} {repository}, log in", scope=scope)
    message = f"{identity.name} may not {action} {repository}"
    if identity.proof is Proof.BEARER:
        message = f"this login does not allow {identity.name} to {action} {repository}"
        return _challenge(request, root, message, scope=scope, error="insufficient_scope", code=Code.DENIED)
    if action is Action.PULL:
        return Fault(404, Code.NAME_UNKNOWN, f"{repository} does not exist, or {identity.name} may not see it")
    return Fault(403, Code.DENIED, message)


def _scope(action: Action, repository: str, request: Request) -> str:
    scope = f"repository:{repository}:{_SCOPES[action]}"
    source = request.query_params.get("from", "")
    if action is Action.PUSH and request.method == "POST" and is_repository(source):
        scope += f" repository:{source}:pull"
    return scope


def _challenge(
    request: Request,
    root: str,
    message: str,
    *,
    scope: str | None = None,
    error: str = "",
    code: Code = Code.UNAUTHORIZED,
) -> Fault:
    if not request.url.path.startswith("/v2"):
        return Fault(401, code, message, headers={"WWW-Authenticate": BASIC})
    words = {"realm": f"{root}/token", "service": SERVICE}
    if scope is not None:
        words["scope"] = scope
    if error in {Why.INVALID_TOKEN, "insufficient_scope"}:
        words["error"] = error
        # Clients show this where an answer has no body, as that to a HEAD.
        words["error_description"] = "".join(
            one if " " <= one <= "~" and one not in '"\\' else "?" for one in message
        )
    header = "Bearer " + ",".join(f'{name}="{value}"' for name, value in words.items())
    return Fault(401, code, message, headers={"WWW-Authenticate": header})
