"""The outermost layer of the application: an id, a line in the log and a place in the metrics for each request."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gate.telemetry.exchange import HEADER, Exchange, enter, leave, sane_id
from gate.telemetry.logs import fields
from gate.telemetry.metrics import Metrics
from gate.wire import EXTENSION

log = logging.getLogger("gate.access")

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds, and is of interest only when it fails."""


class Observed:
    """An ASGI application that tells of what `app` does."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _begun(scope)
        token = enter(exchange)
        begin = time.perf_counter()
        try:
            await self._app(scope, _counted_in(receive, exchange), _counted_out(send, exchange))
        finally:
            route = scope.get("route")
            exchange.route = getattr(route, "path", None)
            exchange.repository = scope.get("path_params", {}).get("name")
            seconds = time.perf_counter() - begin
            self._metrics.answered(exchange, seconds)
            _tell(exchange, seconds)
            leave(token)


def _begun(scope: Scope) -> Exchange:
    client = scope.get("client")
    return Exchange(
        method=scope["method"],
        path=scope["path"],
        client=None if client is None else client[0],
        caller_id=sane_id(Headers(scope=scope).get(HEADER)),
    )


def _counted_in(receive: Receive, exchange: Exchange) -> Receive:
    async def counted() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            exchange.received += len(message.get("body", b""))
        return message

    return counted


def _counted_out(send: Send, exchange: Exchange) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            MutableHeaders(scope=message)[HEADER] = exchange.id
        elif exchange.method != "HEAD":
            exchange.sent += message["count"] if message["type"] == EXTENSION else len(message.get("body", b""))
        await send(message)

    return counted


def _tell(exchange: Exchange, seconds: float) -> None:
    level = logging.INFO
    if exchange.path in PROBES and exchange.status < 400:
        level = logging.DEBUG
    log.log(
        level,
        "%s %r %s in %.1f ms",
        exchange.method,
        exchange.path,
        exchange.status or "broke off",
        seconds * 1000,
        extra=fields(
            method=exchange.method,
            path=exchange.path,
            status=exchange.status or None,
            ms=round(seconds * 1000, 1),
            bytes_in=exchange.received,
            bytes_out=exchange.sent,
            client=exchange.client,
            user=exchange.user,
            repository=exchange.repository,
            verdict=exchange.verdict and exchange.verdict.value,
            mode=exchange.mode and exchange.mode.value,
            decision=exchange.decision,
            caller_id=exchange.caller_id,
        ),
    )
