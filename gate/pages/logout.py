"""Logging out: here, and at the provider that somebody came by (OpenID Connect RP-Initiated Logout 1.0).

A form may lead to this gate alone (`form-action` of the Content-Security-Policy, which browsers apply to redirects
too), so the way to the provider is a step of the page that answers it.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from compliance.errors import Unavailable
from gate.identity.asking import address_of, in_login_threads
from gate.identity.code_flow import SECONDS, Ending
from gate.pages.cookies import forget, keep
from gate.pages.login import ask_after
from gate.pages.rendering import HEADERS, render
from gate.pages.route import LOGIN, OWN_FORM, cookie_name, page_router
from gate.service import Service, TheService, root_url

router = page_router()

LOGOUT: Final = "/logout"
DONE: Final = f"{LOGOUT}/done"
LONGEST_TOKEN: Final = 2048
"""Characters of an ID token that a browser keeps for this, so that its cookies fit into the headers of proxies."""


@router.post(LOGOUT, dependencies=[OWN_FORM])
async def log_out(request: Request, service: TheService) -> Response:
    """Have the browser forget its session, and send it to the provider that the session came by."""
    ending, problem = None, ""
    person = service.browsing.person(request.cookies.get(cookie_name(request, service), ""))
    if person is not None:
        token, back = request.cookies.get(_token(request, service), ""), f"{root_url(service, request)}{DONE}"
        try:
            ending = await in_login_threads(service.authentication, service.code_flow.end, person, token, back)
        except Unavailable as error:
            problem = f"You are logged out here, but maybe not at your provider: {error.message}."
    answer = _onward(ending, problem, service)
    for name in (cookie_name(request, service), _token(request, service)):
        forget(answer, request, service, name)
    if ending is not None:
        # The way back begins at the provider.
        keep(answer, request, service, _state(request, service), ending.state, SECONDS, site="lax")
    return answer


@router.get(DONE)
async def come_back(
    request: Request, service: TheService, state: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """Tell that the provider has sent somebody back; anybody else just gets the form to log in."""
    service.authentication.limits.request(address_of(request))
    sent = request.cookies.get(_state(request, service), "")
    if not sent or not hmac.compare_digest(sent.encode(), state.encode()):
        return RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER, HEADERS)
    answer = ask_after(service, said="You are logged out, here and at your provider.")
    return forget(answer, request, service, _state(request, service), site="lax")


def remembered(answer: Response, request: Request, service: Service, token: str, seconds: int) -> Response:
    """The answer, with which a browser keeps its ID token, by which the provider knows whose session ends."""
    if len(token) > LONGEST_TOKEN:
        return forget(answer, request, service, _token(request, service))
    return keep(answer, request, service, _token(request, service), token, seconds)


def _onward(ending: Ending | None, problem: str, service: Service) -> Response:
    if ending is not None:
        return render("onward.html", title="One moment", wanted=ending.url, reader=None)
    if problem:
        return ask_after(service, error=problem)
    return RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER, HEADERS)


def _token(request: Request, service: Service) -> str:
    return f"{cookie_name(request, service)}-token"


def _state(request: Request, service: Service) -> str:
    return f"{cookie_name(request, service)}-logout"
