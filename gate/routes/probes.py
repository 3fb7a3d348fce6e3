"""For whoever watches the gate: whether it works, whether it can decide, and its metrics."""

from __future__ import annotations

import asyncio
import hmac

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gate.errors import Code, Fault
from gate.service import TheService, who_asks
from gate.telemetry.metrics import CONTENT_TYPE

router = APIRouter()


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthy() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def ready(service: TheService) -> Response:
    """A push could be decided now: what that takes, and what is wrong with it.

    Where rules cannot be read any more, the last good ones decide: that is "degraded", and ready. What it takes
    is looked at once a second at most.
    """
    found = await service.readiness.found()
    stopping = ("the gate is being stopped",) if service.pushes.stopping else ()
    failed, old = {"accepting": stopping, **found.failed}, found.out_of_date
    problems = [problem for found in failed.values() for problem in found]
    answer = {
        "status": "not ready" if problems else "degraded" if old else "ok",
        "checks": {name: "failed" if found else "ok" for name, found in failed.items()}
        | {"rules": "out of date" if old else "ok"},
        "problems": [*problems, *old],
    }
    return JSONResponse(answer, 503 if problems else 200)


@router.get("/metrics")
async def metrics(service: TheService, request: Request) -> Response:
    """Prometheus metrics: to whoever has the token where one is set, else to users of the gate."""
    settings = service.settings
    if settings.metrics_listen is not None and not getattr(request.app.state, "aside", False):
        raise Fault(404, Code.UNSUPPORTED, "the metrics of this gate are at another address")
    if settings.metrics_token is not None:
        _require(request.headers.get("Authorization", ""), settings.metrics_token.get_secret_value())
    elif settings.metrics_listen is None:
        await who_asks(request, service)
    return Response(await asyncio.to_thread(service.metrics.text), media_type=CONTENT_TYPE)


def _require(authorization: str, token: str) -> None:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        challenge = {"WWW-Authenticate": 'Bearer realm="mlgate metrics"'}
        raise Fault(401, Code.UNAUTHORIZED, "the token for the metrics is needed", headers=challenge)
