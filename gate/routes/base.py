"""Whether this is a registry, and whether the gate works."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gate.answers import VERSION
from gate.service import MAY_PULL, TheService

router = APIRouter()


@router.api_route("/v2", methods=["GET", "HEAD"], dependencies=[MAY_PULL])
@router.api_route("/v2/", methods=["GET", "HEAD"], dependencies=[MAY_PULL])
async def base() -> Response:
    """Distribution specification, "Determining Support"."""
    return JSONResponse({}, headers=VERSION)


@router.get("/healthz")
async def healthy() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def ready(service: TheService) -> Response:
    """A push could be decided now: the registry answers, and policies and scanner are in place.

    Where rules cannot be read any more, the last good ones decide: that is "degraded", and ready.
    """
    problems = await asyncio.to_thread(service.admission.problems)
    if not await service.upstream.is_up():
        problems = ("the registry behind the gate does not answer", *problems)
    out_of_date = await asyncio.to_thread(service.admission.out_of_date)
    status = "not ready" if problems else "degraded" if out_of_date else "ok"
    return JSONResponse({"status": status, "problems": [*problems, *out_of_date]}, 503 if problems else 200)
