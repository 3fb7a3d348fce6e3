"""The public key that the gate's verification summaries are checked with."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gate.own_key import public_key
from gate.service import TheService

router = APIRouter()

PEM: Final = "application/x-pem-file"


@router.get(
    "/api/key",
    summary="The gate's public key",
    tags=["decisions"],
    response_class=Response,
    responses={200: {"content": {PEM: {"schema": {"type": "string"}}}}},
)
async def read_key(service: TheService) -> Response:
    """The gate's public key, in PEM, for anybody. Whoever trusts it by this answer trusts the connection."""
    return Response(await asyncio.to_thread(public_key, service.settings.data), media_type=PEM)
