"""The description of the API, for programs that read it: OpenAPI 3.1 at /api/openapi.json."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from gate.api import decisions, images, rules, searches
from gate.api.models import Problems
from gate.routes import decisions as reports
from gate.routes import evidence, key

router = APIRouter()

ROUTERS: Final = (
    images.router,
    searches.router,
    rules.router,
    decisions.router,
    reports.router,
    evidence.router,
    key.router,
)

_ABOUT: Final = """\
What the gate has judged, what is in it, and by which rules. It reads and changes nothing; images are pushed and
deleted by the registry protocol, rules by merging to the policies.

Log in as to the registry, by HTTP basic authentication. What you may not see is not there. Lists come in pages:
follow `next` until it is null. Every answer has an `X-Request-Id`, by which the gate's log has the request."""

_ERRORS: Final = {
    "400": "A parameter cannot be accepted.",
    "401": "Log in first.",
    "403": "You may not do this.",
    "404": "There is no such thing, or you may not see it.",
    "503": "The gate's database, or its rules, cannot be read at the moment.",
}
_UNDOCUMENTED: Final = frozenset({"HTTPValidationError", "ValidationError"})


def document() -> dict[str, Any]:
    """The description, the same for every gate of this version."""
    found = get_openapi(
        title="mlgate",
        version=version("mlbuild"),
        description=_ABOUT,
        routes=[route for one in ROUTERS for route in one.routes],
        tags=[
            {"name": "images", "description": "What was pushed, the verdict on it, and what is in it."},
            {"name": "decisions", "description": "Each verdict, with all that was known when it was reached."},
            {"name": "searches", "description": "Questions across images."},
            {"name": "rules", "description": "Policies and waivers."},
        ],
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    problems = Problems.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problems.pop("$defs"), "Problems": problems}
    for name in _UNDOCUMENTED:
        schemas.pop(name, None)
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problems"}}}
    for path in found["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            responses.pop("422", None)
            for status, meaning in _ERRORS.items():
                responses.setdefault(status, {"description": meaning, "content": content})
            if operation["operationId"].startswith("read_key"):
                continue
            operation["security"] = [{"password": []}]
    found["components"]["securitySchemes"] = {"password": {"type": "http", "scheme": "basic"}}
    return found


@router.get("/api/openapi.json", include_in_schema=False)
async def read_description() -> Response:
    """The description, to anybody: it says nothing about what this gate holds."""
    return Response(await asyncio.to_thread(_written), media_type="application/json")


@cache
def _written() -> bytes:
    """Made once: anybody may ask, and it takes a while."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()
