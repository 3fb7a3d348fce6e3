"""Why an image was admitted or refused: the stored decision, for programs and for people."""

from __future__ import annotations

import asyncio
import io
from typing import Final

from fastapi import APIRouter, Request
from rich.console import Console
from starlette.responses import Response

from compliance.policy.decision import Decision
from compliance.policy.reports import from_json, render, to_markdown
from gate.errors import Code, Fault
from gate.identity.permissions import Identity
from gate.schema import StoredDecision
from gate.service import Service, TheReader, TheService

router = APIRouter()

WIDTH: Final = 110


@router.get("/api/decisions/{id_}")
async def read_decision(id_: str, reader: TheReader, service: TheService, request: Request) -> Response:
    """The whole report: JSON, or by `Accept` Markdown (text/markdown) or plain text (any other text)."""
    stored = await _decision(id_, reader, service)
    kind = _preferred(request.headers.get("Accept", "*/*"))
    if kind == "application/json":
        return Response(stored.decision, media_type=kind)
    decision = from_json(stored.decision)
    text = to_markdown(decision) if kind == "text/markdown" else _plain(decision)
    return Response(text, media_type=f"{kind}; charset=utf-8")


@router.get("/api/decisions/{id_}/evidence")
async def read_evidence(id_: str, reader: TheReader, service: TheService) -> Response:
    """What the decision was taken on, whose digest the decision names."""
    stored = await _decision(id_, reader, service)
    return Response(stored.evidence, media_type="application/json")


async def _decision(id_: str, reader: Identity, service: Service) -> StoredDecision:
    stored = await asyncio.to_thread(service.store.decision, id_)
    if stored is None or not reader.sees(stored.repository):
        raise Fault(404, Code.UNKNOWN, f"there is no decision {id_}")
    return stored


def _preferred(accept: str) -> str:
    """The first kind in an Accept header that there is; browsers ask for HTML and get text."""
    for entry in accept.split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind in {"application/json", "text/markdown"}:
            return kind
        if kind.startswith("text/"):
            return "text/plain"
    return "application/json"


def _plain(decision: Decision) -> str:
    page = io.StringIO()
    render(decision, Console(file=page, width=WIDTH, color_system=None), verbose=True)
    return page.getvalue()
