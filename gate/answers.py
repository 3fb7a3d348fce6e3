"""How the gate answers: errors in the form of the distribution specification, and streams passed through."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Final

import aiohttp
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gate.errors import Code, Fault, upstream_down
from gate.upstream import passed_back

VERSION: Final = {"Docker-Distribution-API-Version": "registry/2.0"}

log = logging.getLogger(__name__)


def of_fault(fault: Fault) -> Response:
    """One error and no more, since clients show only the first."""
    error = {"code": fault.code.value, "message": fault.message}
    return Response(
        json.dumps({"errors": [error]}, ensure_ascii=False),
        fault.status,
        {**VERSION, **fault.headers},
        "application/json",
    )


async def on_fault(request: Request, fault: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    assert isinstance(fault, Fault)  # noqa: S101 - registered for this class only
    return of_fault(fault)


async def on_crash(request: Request, error: Exception) -> Response:
    """The answer to a defect. Nothing was admitted: only `Store.publish` admits, and it is all or nothing."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return of_fault(Fault(500, Code.UNKNOWN, "the gate failed to answer this; its log says why"))


class Passed(Response):
    """An answer of the registry behind the gate, passed on as it arrives.

    `unknown` is said in place of the registry's own 404. That the registry does not let the gate in, or
    fails, is no business of the client's, to whom it is simply down.
    """

    def __init__(
        self, opened: AbstractAsyncContextManager[aiohttp.ClientResponse], unknown: Fault | None = None
    ) -> None:
        super().__init__()
        self._opened = opened
        self._unknown = unknown
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._opened as upstream:
                if upstream.status == HTTPStatus.NOT_FOUND and self._unknown is not None:
                    raise self._unknown
                if upstream.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} or upstream.status >= 500:
                    raise upstream_down()
                await self._stream(upstream, scope, receive, send)
        except Fault as fault:
            if self._started:
                # Half a blob went out. An answer that is not completed makes the server cut the connection,
                # and only that tells the client that it does not have all of it.
                log.warning("%s %s broke off: %s", scope["method"], scope["path"], fault)
                return
            await of_fault(fault)(scope, receive, send)

    async def _stream(self, upstream: aiohttp.ClientResponse, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {**VERSION, **passed_back(upstream)}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._started = True
        await send({"type": "http.response.start", "status": upstream.status, "headers": encoded})
        if scope["method"] != "HEAD":
            gone = asyncio.create_task(_until_gone(receive))
            try:
                async for chunk in upstream.content.iter_any():
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
