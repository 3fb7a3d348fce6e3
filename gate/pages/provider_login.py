"""Logging in by a provider: away to it, and back."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from gate.identity.asking import address_of, in_login_threads
from gate.identity.code_flow import SECONDS
from gate.identity.proof import NotProven
from gate.pages.cookies import forget, keep
from gate.pages.login import ask_again, began
from gate.pages.logout import remembered
from gate.pages.rendering import HEADERS, render
from gate.pages.route import LOGIN, cookie_name, is_own_address, page_router
from gate.service import Service, TheService, root_url

router = page_router()

LONGEST: Final = 4096
_ANSWERED: Final = ("code", "state", "iss", "error")


@router.get(f"{LOGIN}/with/{{name}}")
async def leave(
    name: str,
    request: Request,
    service: TheService,
    next_: Annotated[str, Query(alias="next", max_length=LONGEST)] = "/",
) -> Response:
    """Send a browser to a provider."""
    service.authentication.limits.request(address_of(request))
    wanted = next_ if is_own_address(next_) else "/"
    try:
        begun = await in_login_threads(
            service.authentication, service.code_flow.begin, name, _back(service, request, name), wanted
        )
    except NotProven as error:
        return ask_again(service, wanted, error.message)
    answer = RedirectResponse(begun.url, 303, HEADERS)
    # The way back begins at the provider.
    return keep(answer, request, service, _cookie(request, service), begun.cookie, SECONDS, site="lax")


@router.get(f"{LOGIN}/with/{{name}}/callback")
async def come_back(name: str, request: Request, service: TheService) -> Response:
    """A session for whom the provider vouches for, and on to what they wanted to see."""
    address, given = address_of(request), request.query_params
    service.authentication.limits.request(address)
    cookie = request.cookies.get(_cookie(request, service), "")
    answered = {key: given[key][:LONGEST] for key in _ANSWERED if len(given.getlist(key)) == 1}
    try:
        arrived = await in_login_threads(
            service.authentication,
            service.code_flow.finish,
            name,
            cookie,
            answered,
            _back(service, request, name),
        )
        session, seconds = service.browsing.begin_person(arrived.person)
    except NotProven as error:
        service.authentication.refused(name[:64], address, error.message)
        return _forgotten(ask_again(service, "/", error.message), request, service)
    # The browser comes from the provider, and would send the session's cookie after one more step only.
    wanted = arrived.wanted if is_own_address(arrived.wanted) else "/"
    page = render("onward.html", title="One moment", wanted=wanted, reader=None)
    page = began(page, request, service, session, seconds)
    return _forgotten(remembered(page, request, service, arrived.token, seconds), request, service)


def _back(service: Service, request: Request, name: str) -> str:
    return f"{root_url(service, request)}{LOGIN}/with/{name}/callback"


def _cookie(request: Request, service: TheService) -> str:
    return f"{cookie_name(request, service)}-login"


def _forgotten(answer: Response, request: Request, service: TheService) -> Response:
    """The answer, with which the browser forgets that it was sent away: each way back is gone once."""
    return forget(answer, request, service, _cookie(request, service), site="lax")
