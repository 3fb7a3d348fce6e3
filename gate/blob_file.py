"""A blob that the gate has on disk, since it has read it: sent from there, whole or a range of it."""

from __future__ import annotations

import asyncio
import os
import re
from http import HTTPStatus
from typing import BinaryIO, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from compliance.oci.digest import Digest
from gate.answers import blob_headers, of_fault, unsatisfiable
from gate.wire import EXTENSION

CHUNK: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})?|-(?P<suffix>[0-9]{1,18}))")


class BlobFile(Response):
    """An answer to a request for `digest`, from an open file that it closes."""

    def __init__(self, file: BinaryIO, digest: Digest) -> None:
        super().__init__()
        self._file = file
        self._digest = digest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file as file:
            size = os.fstat(file.fileno()).st_size
            asked = Headers(scope=scope)
            etag = f'"{self._digest}"'
            if etag in asked.get("If-None-Match", ""):
                await self._begin(send, HTTPStatus.NOT_MODIFIED, {})
                await send({"type": "http.response.body", "body": b""})
                return
            part = _part(asked.get("Range") if asked.get("If-Range", etag) == etag else None, size)
            if part is None:
                await of_fault(unsatisfiable(f"bytes */{size}"))(scope, receive, send)
                return
            headers = {
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
                "Content-Length": str(len(part)),
            }
            status = HTTPStatus.OK
            if len(part) != size:
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
            await self._begin(send, status, headers)
            await _send(file, part, scope, send)

    async def _begin(self, send: Send, status: HTTPStatus, headers: dict[str, str]) -> None:
        said = {**blob_headers(self._digest), **headers}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in said.items()]
        await send({"type": "http.response.start", "status": status.value, "headers": encoded})


def _part(asked: str | None, size: int) -> range | None:
    """The bytes that a Range header names (RFC 9110, 14.2), all where it names none; None where there are none.

    Several ranges at once are not served apart: the whole is sent, as is allowed.
    """
    match = _RANGE.fullmatch(asked or "")
    if match is None:
        return range(size)
    if match["suffix"] is not None:
        found = range(max(0, size - int(match["suffix"])), size)
    else:
        end = size if match["last"] is None else min(size, int(match["last"]) + 1)
        found = range(int(match["first"]), end)
    return found if found else None


async def _send(file: BinaryIO, part: range, scope: Scope, send: Send) -> None:
    if EXTENSION in scope.get("extensions", {}):
        await send({"type": EXTENSION, "file": file, "offset": part.start, "count": len(part)})
        return
    if scope["method"] != "HEAD":
        file.seek(part.start)
        left = len(part)
        while left:
            data = await asyncio.to_thread(file.read, min(CHUNK, left))
            if not data:
                return  # shorter than it was: the answer stays incomplete, and the connection is cut
            left -= len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
