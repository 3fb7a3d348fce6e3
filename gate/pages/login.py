"""Logging in and out with a browser."""

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
from gate.pages.rendering import HEADERS, render
from gate.pages.route import LOGIN, OWN_FORM, cookie_name, is_own_address, is_secure, page_router
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
    answer.set_cookie(
        cookie_name(request, service),
        session,
        max_age=seconds,
        httponly=True,
        samesite="strict",
        secure=is_secure(request, service),
    )
    return answer


@router.post("/logout", dependencies=[OWN_FORM])
async def log_out(request: Request, service: TheService) -> Response:
    """Have the browser forget its session."""
    answer = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER, HEADERS)
    answer.delete_cookie(
        cookie_name(request, service), httponly=True, samesite="strict", secure=is_secure(request, service)
    )
    return answer


def ask_again(service: Service, wanted: str, error: str) -> Response:
    """The form for somebody whose login by a provider failed."""
    return _form(service, wanted, error, "", HTTPStatus.FORBIDDEN)


def _form(service: Service, wanted: str, error: str, name: str = "", status: int = 200) -> Response:
    return render(
        "login.html",
        status,
        title="Log in",
        wanted=wanted,
        error=error,
        name=name,
        reader=None,
        providers=service.code_flow.providers,
    )
