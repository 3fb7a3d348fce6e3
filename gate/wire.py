"""HTTP as the gate serves it: uvicorn's protocol, and files that the kernel sends.

Adds the ASGI extension "http.response.zerocopysend" where the connection is plain TCP: a blob of a gigabyte
then passes through no Python at all. Elsewhere the application reads the file and sends it in pieces.
"""

from __future__ import annotations

import logging
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

EXTENSION = "http.response.zerocopysend"

log = logging.getLogger(__name__)


class FileSendingProtocol(HttpToolsProtocol):
    """One connection."""

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
                log.info("%s broke off: %s", cycle.scope["path"], error)
                cycle.disconnected = True
                self.transport.abort()
                return
            cycle.expected_content_length -= sent
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
