"""What all pages share: who reads, and that what goes wrong is a page too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from starlette.responses import RedirectResponse, Response

from compliance.errors import Unavailable
from gate.api.view import View
from gate.errors import Code, Fault
from gate.identity.asking import address_of
from gate.identity.permissions import EVERYWHERE, Action
from gate.pages.rendering import HEADERS, render, searched
from gate.service import TheService, root_url, who_asks
from gate.telemetry.exchange import asked_by

LOGIN: Final = "/login"
COOKIE: Final = "mlgate"
BLANK: Final = BeforeValidator(lambda value: value or None)
"""For parameters of forms, where what was left empty is sent as nothing."""


class NotLoggedIn(Exception):
    """Nobody reads yet."""


class PageRoute(APIRoute):
    """A route whose faults are pages, and which sends strangers to log in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except NotLoggedIn:
                return _to_login(request)
            except Fault as fault:
                page = problem(fault.status, fault.message)
                page.headers.update(fault.headers)
                return page
            except Unavailable as error:
                return problem(503, f"{error}")
            except RequestValidationError as error:
                first = error.errors()[0]
                return problem(400, f"{first['loc'][-1]}: {first['msg']}")

        return answered


def page_router() -> APIRouter:
    return APIRouter(route_class=PageRoute, include_in_schema=False)


def problem(status: int, message: str) -> Response:
    """A page that says what went wrong."""
    return render("problem.html", status, title=HTTPStatus(status).phrase, message=message, reader=None)


def cookie_name(request: Request, service: TheService) -> str:
    """What the session's cookie is called: where there is TLS, so that nothing but this host can have set it."""
    return f"__Host-{COOKIE}" if is_secure(request, service) else COOKIE


def is_secure(request: Request, service: TheService) -> bool:
    """Whether browsers reach the gate by TLS."""
    return (service.settings.public_url or f"{request.url.scheme}:").startswith("https:")


async def _page_view(request: Request, service: TheService) -> View:
    """What exists for whoever has a session, or sends a login as programs do."""
    if "Authorization" in request.headers:
        return View(service, await who_asks(request, service))
    session = request.cookies.get(cookie_name(request, service), "")
    identity = await asyncio.to_thread(service.browsing.read, session) if session else None
    service.authentication.limits.request(address_of(request) if identity is None else identity.name)
    if identity is None:
        raise NotLoggedIn
    asked_by(identity.name)
    return View(service, identity)


ThePageView = Annotated[View, Depends(_page_view)]


def may_audit(view: View) -> bool:
    """Whether the audit log exists for the reader: it tells of every repository, and of who logs in."""
    return any(
        Action.REVIEW in permission.actions and set(EVERYWHERE) <= set(permission.repositories)
        for permission in view.reader.permissions
    )


def shown(template: str, view: View, **given: Any) -> Response:
    """A page for whoever reads it."""
    reviews = bool(view.reader.patterns(Action.REVIEW))
    name = view.reader.called or view.reader.name
    return render(template, reader=name, audits=may_audit(view), reviews=reviews, **given)


async def _require_own_form(request: Request, service: TheService) -> None:
    """Raise the 403 answer for a form of another site, which could have somebody do what they do not know of."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    own = {request.headers.get("Host"), urlsplit(root_url(service, request)).netloc}
    if (origin is not None and urlsplit(origin).netloc not in own) or site not in {None, "same-origin", "none"}:
        raise Fault(403, Code.DENIED, "this form was not sent by a page of this gate; log in here")


OWN_FORM: Final = Depends(_require_own_form)
"""For routes that take forms."""


def is_own_address(address: str) -> bool:
    """Whether an address is a path of this gate, and not what browsers take for another host."""
    parts = urlsplit(address)
    return (
        not parts.scheme
        and not parts.netloc
        and address.startswith("/")
        and not address.startswith("//")
        and "\\" not in address
        and address.isprintable()
    )


def _to_login(request: Request) -> Response:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        # A link elsewhere led here, with which browsers send no cookie of ours. Coming from here, they do.
        return render("onward.html", title="One moment", wanted=wanted, reader=None)
    return RedirectResponse(searched(LOGIN, next=wanted), HTTPStatus.SEE_OTHER, HEADERS)
