"""HTTP as the gate serves it: uvicorn's protocol with bounded headers, and files that the kernel sends.

Adds the ASGI extension "http.response.zerocopysend" where the connection is plain TCP: a blob of a gigabyte
then passes through no Python at all. Elsewhere the application reads the file and sends it in pieces.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

EXTENSION: Final = "http.response.zerocopysend"
MAX_HEAD: Final = 64 << 10
"""Bytes of a request's line and headers, and of whatever else comes between bytes of its body."""

log = logging.getLogger(__name__)


class FileSendingProtocol(HttpToolsProtocol):
    """One connection.

    The parser hands over headers when they are whole, and holds them until then. A client that never comes
    to their end, or to that of a chunk's extension or a trailer, is cut off.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        self._unheard = self._named = 0
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._unheard += len(data)
        super().data_received(data)
        if self._unheard > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        self._named = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._named += len(name) + len(value)
        if self._named > MAX_HEAD:
            raise ValueError("the headers are too large")  # the parser gives up, and a 400 is sent
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unheard = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unheard = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unheard = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, app if is_ssl(self.transport) else self._offering_files(cycle, app))

    def _offering_files(self, cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
        async def offering(scope: Scope, receive: ASGIReceiveCallable, send: Any) -> None:
            async def send_or_copy(message: Any) -> None:
                if message["type"] == EXTENSION:
                    await self._copy(cycle, message)
                else:
                    await send(message)

            scope.setdefault("extensions", {})[EXTENSION] = {}  # type: ignore[typeddict-item]
            await app(scope, receive, send_or_copy)

        return offering

    async def _copy(self, cycle: RequestResponseCycle, message: Any) -> None:
        """Send `count` bytes of `file` from `offset`, and end the answer. HEAD sends nothing."""
        count = message["count"]
        if cycle.scope["method"] != "HEAD" and count and not cycle.disconnected:
            try:
                sent = await self.loop.sendfile(self.transport, message["file"], message["offset"], count)
            except (ConnectionError, RuntimeError) as error:
                # The client went away, or the transport is closing: there is nobody to tell.
                log.info("%r broke off: %s", cycle.scope["path"], error)
                cycle.disconnected = True
                self.transport.abort()
                return
            cycle.expected_content_length -= sent
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
