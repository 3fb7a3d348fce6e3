"""The stylesheet and the icon. They are the same for everybody."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gate.pages.rendering import ICON, STYLE, STYLE_AT

router = APIRouter(include_in_schema=False)

_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@router.get(STYLE_AT)
async def read_style() -> Response:
    return Response(STYLE, media_type="text/css", headers=_KEPT)


@router.get("/pages/icon.svg")
async def read_icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={**_KEPT, "Cache-Control": "public, max-age=86400"})
