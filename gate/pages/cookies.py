"""Cookies of the pages: for no script, over TLS where there is TLS, and from here alone unless said otherwise."""

from __future__ import annotations

from typing import Literal

from fastapi import Request
from starlette.responses import Response

from gate.pages.route import is_secure
from gate.service import Service

Site = Literal["strict", "lax"]


def keep(
    answer: Response,
    request: Request,
    service: Service,
    name: str,
    value: str,
    seconds: int,
    *,
    site: Site = "strict",
) -> Response:
    """The answer, with which a browser keeps a cookie for so long; a `lax` one comes along from elsewhere too."""
    answer.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite=site, secure=is_secure(request, service)
    )
    return answer


def forget(answer: Response, request: Request, service: Service, name: str, *, site: Site = "strict") -> Response:
    """The answer, with which a browser forgets a cookie."""
    answer.delete_cookie(name, httponly=True, samesite=site, secure=is_secure(request, service))
    return answer
