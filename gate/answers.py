"""How the gate answers: errors in the form of the distribution specification, and streams passed through."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from compliance.oci.digest import Digest
from gate.errors import Code, Fault
from gate.telemetry.exchange import current
from gate.upstream import Answer, passed_back, refusal

VERSION: Final = {"Docker-Distribution-API-Version": "registry/2.0"}

log = logging.getLogger(__name__)


def of_fault(fault: Fault) -> Response:
    """One error and no more, since clients show only the first."""
    error = {"code": fault.code.value, "message": fault.message}
    exchange = current()
    if exchange is not None:
        error["detail"] = f"request {exchange.id}"
    return Response(
        json.dumps({"errors": [error]}, ensure_ascii=False),
        fault.status,
        {**VERSION, **fault.headers},
        "application/json",
    )


def warning(text: str) -> str:
    """A header that clients show to people (distribution specification v1.1, "Warnings")."""
    readable = "".join(letter if " " <= letter <= "~" and letter not in '"\\' else "?" for letter in text)
    return f'299 - "{readable}"'


class Passed(Response):
    """A blob of the registry behind the gate, passed on as it arrives, under the digest it was asked for by.

    `unknown` is said in place of the registry's own 404.
    """

    def __init__(self, opened: AbstractAsyncContextManager[Answer], digest: Digest, unknown: Fault) -> None:
        super().__init__()
        self._opened = opened
        self._digest = digest
        self._unknown = unknown
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._opened as upstream:
                if upstream.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise unsatisfiable(upstream.headers.get("Content-Range"))
                if upstream.status not in _READ:
                    raise await refusal(upstream, self._unknown)
                await self._stream(upstream, scope, receive, send)
        except Fault as fault:
            if self._started:
                # Half a blob went out. An answer that is not completed makes the server cut the connection,
                # and only that tells the client that it does not have all of it.
                log.warning("%s %r broke off: %s", scope["method"], scope["path"], fault)
                return
            await of_fault(fault)(scope, receive, send)

    async def _stream(self, upstream: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {**blob_headers(self._digest), **passed_back(upstream)}
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


_READ: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED})


def blob_headers(digest: Digest) -> dict[str, str]:
    """What is said with every blob: content under a digest never changes."""
    return {
        **VERSION,
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Cache-Control": "private, max-age=31536000, immutable",
    }


def unsatisfiable(content_range: str | None) -> Fault:
    """The answer to a Range that a blob does not have (RFC 9110, 15.5.17)."""
    headers = {} if content_range is None else {"Content-Range": content_range}
    return Fault(416, Code.SIZE_INVALID, "the blob has no such range", headers=headers)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
