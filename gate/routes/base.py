"""Whether this is a registry."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gate.answers import VERSION
from gate.service import LOGGED_IN

router = APIRouter()


@router.api_route("/v2", methods=["GET", "HEAD"], dependencies=[LOGGED_IN])
@router.api_route("/v2/", methods=["GET", "HEAD"], dependencies=[LOGGED_IN])
async def base() -> Response:
    """Distribution specification, "Determining Support"."""
    return JSONResponse({}, headers=VERSION)
