"""Logging in with a browser."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from gate.forms import read_form
from gate.identity.asking import address_of, in_login_threads
from gate.identity.authentication import Login
from gate.identity.browsing import SECONDS
from gate.identity.proof import NotProven, Why
from gate.identity.users import PIPELINES
from gate.pages.cookies import keep
from gate.pages.rendering import HEADERS, render
from gate.pages.route import LOGIN, OWN_FORM, cookie_name, is_own_address, page_router
from gate.service import Service, TheService

router = page_router()


@router.get(LOGIN)
async def ask(service: TheService, next_: Annotated[str, Query(alias="next", max_length=4096)] = "/") -> Response:
    return _form(service, next_, "")


@router.post(LOGIN, dependencies=[OWN_FORM])
async def log_in(request: Request, service: TheService) -> Response:
    """A session for who has this name and password, and on to what they wanted to see."""
    address = address_of(request)
    service.authentication.limits.request(address)
    form = await read_form(request)
    name, wanted = form.get("name", ""), form.get("next", "/")
    try:
        if name == PIPELINES:
            raise NotProven(Why.WRONG, "a token of a CI is for registry clients; log in as a user or robot")
        login = Login(name, form.get("password", "").encode())
        identity = await in_login_threads(service.authentication, service.authentication.log_in, login, address)
    except NotProven as error:
        return _form(service, wanted, error.message, name, HTTPStatus.FORBIDDEN)
    session = service.browsing.begin(identity.name)
    if session is None:
        return _form(service, wanted, "the account has ended", name, HTTPStatus.FORBIDDEN)
    answer = RedirectResponse(wanted if is_own_address(wanted) else "/", HTTPStatus.SEE_OTHER, HEADERS)
    return began(answer, request, service, session, SECONDS)


def began(answer: Response, request: Request, service: TheService, session: str, seconds: int) -> Response:
    """The answer, with which a browser gets a session."""
    return keep(answer, request, service, cookie_name(request, service), session, seconds)


def ask_again(service: Service, wanted: str, error: str) -> Response:
    """The form for somebody whose login by a provider failed."""
    return _form(service, wanted, error, "", HTTPStatus.FORBIDDEN)


def ask_after(service: Service, said: str = "", error: str = "") -> Response:
    """The form for somebody who has logged out."""
    return _form(service, "/", error, said=said)


def _form(
    service: Service, wanted: str, error: str, name: str = "", status: int = 200, *, said: str = ""
) -> Response:
    return render(
        "login.html",
        status,
        title="Log in",
        wanted=wanted,
        error=error,
        said=said,
        name=name,
        reader=None,
        providers=service.code_flow.providers,
    )
