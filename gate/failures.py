"""How failures of every kind are answered, in the form of the distribution specification."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from compliance.errors import Unavailable
from gate.answers import of_fault
from gate.database import DatabaseUnavailable
from gate.errors import NO_DATABASE, Code, Fault

log = logging.getLogger(__name__)


def answer_errors(app: FastAPI) -> None:
    """Have every failure answered in the form that registry clients expect."""
    app.add_exception_handler(Fault, _on_fault)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(HTTPException, _on_no_route)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(Exception, _on_crash)


async def _on_fault(request: Request, fault: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    assert isinstance(fault, Fault)  # noqa: S101 - registered for this class only
    return of_fault(fault)


async def _on_crash(request: Request, error: Exception) -> Response:
    """The answer to a defect. Nothing was admitted: only `Store.publish` admits, and it is all or nothing."""
    log.error("%s %r failed", request.method, request.url.path, exc_info=error)
    return of_fault(Fault(500, Code.UNKNOWN, "the gate failed to answer this; its log says why"))


async def _on_unavailable(request: Request, error: Exception) -> Response:
    log.warning("%s %r: %s", request.method, request.url.path, error)
    told = NO_DATABASE if isinstance(error, DatabaseUnavailable) else str(error)
    return of_fault(Fault(503, Code.UNAVAILABLE, f"{told}; nothing was admitted"))


async def _on_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    problem = f"{request.method} {request.url.path} is not something this registry does"
    return of_fault(Fault(error.status_code, Code.UNSUPPORTED, problem, headers=error.headers))


async def _on_bad_parameter(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    return of_fault(Fault(400, Code.UNSUPPORTED, f"{first['loc'][-1]}: {first['msg']}"))
