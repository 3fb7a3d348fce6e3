"""Why an image was admitted or refused: the stored decision, for programs and for people."""

from __future__ import annotations

import asyncio
import io
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from rich.console import Console
from starlette.responses import RedirectResponse, Response

from compliance.policy.reports import from_json, render, to_markdown
from gate.api.view import TheView, View
from gate.service import TheService, who_asks

router = APIRouter(tags=["decisions"])

WIDTH: Final = 110


@router.get(
    "/api/decisions/{id_}",
    summary="The whole report on a decision",
    response_class=Response,
    responses={
        200: {
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/markdown": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
            }
        },
        303: {"description": "For browsers: where the page is."},
    },
)
async def read_decision(id_: str, service: TheService, request: Request) -> Response:
    """The whole report: JSON, or by `Accept` Markdown (text/markdown) or plain text (any other text).

    Browsers, which ask for text/html, are sent to the page that shows it.
    """
    kind = _preferred(request.headers.get("Accept", "*/*"))
    if kind == "text/html":
        return RedirectResponse(f"/decisions/{quote(id_, safe='')}", HTTPStatus.SEE_OTHER, {"Vary": "Accept"})
    stored = await View(service, await who_asks(request, service)).decision(id_)
    if kind == "application/json":
        return Response(stored.decision, media_type=kind)
    text = await asyncio.to_thread(_text, stored.decision, kind)
    return Response(text, media_type=f"{kind}; charset=utf-8")


@router.get(
    "/api/decisions/{id_}/evidence",
    summary="What a decision was taken on",
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def read_evidence(id_: str, view: TheView) -> Response:
    """What the decision was taken on, whose digest the decision names."""
    stored = await view.decision(id_)
    return Response(stored.evidence, media_type="application/json")


def _preferred(accept: str) -> str:
    """The first kind in an Accept header that there is."""
    for entry in accept.split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind in {"application/json", "text/markdown", "text/html"}:
            return kind
        if kind.startswith("text/"):
            return "text/plain"
    return "application/json"


def _text(stored: bytes, kind: str) -> str:
    decision = from_json(stored)
    if kind == "text/markdown":
        return to_markdown(decision)
    page = io.StringIO()
    render(decision, Console(file=page, width=WIDTH, color_system=None), verbose=True)
    return page.getvalue()
