"""One blob on its way into a registry (distribution specification v1.1, "Pushing blobs").

A blob is sent in one stream by PATCH and closed by PUT. Where the stream is cut, the registry is asked how
far it came, and the rest is sent with a Content-Range. A small blob is sent by PUT alone, and again as a
whole when that fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final
from urllib.parse import urlencode

import httpx

from compliance.errors import ComplianceError, Unavailable
from compliance.oci.digest import Digest
from compliance.oci.transport import CHUNK, RegistryError, Transport
from compliance.retries import Retries

ONCE: Final = Retries(tries=1)

_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOST: Final = frozenset({404, 416})  # to the upload's own address: it is gone, or not where we thought
_RANGE: Final = re.compile(r"(?:bytes=)?0-(?P<last>[0-9]+)")
_BINARY: Final = {"Content-Type": "application/octet-stream"}


def passes(error: ComplianceError) -> bool:
    """Whether to try again could help: the connection was cut, or the registry was busy or failed."""
    if isinstance(error, RegistryError):
        return error.status in _BUSY
    return isinstance(error, Unavailable) and isinstance(error.__cause__, httpx.TransportError)


class Upload:
    """`size` bytes that `open_` opens, into one repository."""

    def __init__(
        self,
        transport: Transport,
        repository: str,
        digest: Digest,
        size: int,
        open_: Callable[[], BinaryIO],
        on_progress: Callable[[int], None],
    ) -> None:
        self._transport = transport
        self._repository = repository
        self._digest = digest
        self._size = size
        self._open = open_
        self._on_progress = on_progress
        self._scope = f"repository:{repository}:pull,push"
        self._location: str | None = None
        self._arrived = 0
        self._told = 0
        self._sent = False

    def run(self, retries: Retries, pause: Callable[[float], object], mount_from: str | None = None) -> bool:
        """Make the registry have the blob; True when bytes were sent. `pause` waits some seconds."""
        failures = 0
        while True:
            before = self._arrived
            try:
                return self._attempt(mount_from)
            except (RegistryError, Unavailable) as error:
                failures = 1 if self._arrived > before else failures + 1
                if failures >= retries.tries or not (passes(error) or self._restart(error)):
                    raise
                pause(retries.wait(failures, error.retry_after if isinstance(error, RegistryError) else None))

    def _attempt(self, mount_from: str | None) -> bool:
        if self._location is not None:
            self._ask()
        if self._location is None:
            if self._present():
                return self._sent
            self._start(mount_from)
            if self._location is None:  # mounted
                return False
        if self._size > CHUNK:
            self._stream()
        self._finish(self._location)
        return True

    def _restart(self, error: ComplianceError) -> bool:
        """Forget an upload that the registry does not know, or not like this; whether it was that."""
        lost = self._location is not None and isinstance(error, RegistryError) and error.status in _LOST
        if lost:
            self._location, self._arrived = None, 0
        return lost

    def _present(self) -> bool:
        path = f"/v2/{self._repository}/blobs/{self._digest}"
        # Whoever may push sees what is not published yet.
        with self._transport.send("HEAD", path, self._scope, accept=(200, 404)) as response:
            return response.status_code == httpx.codes.OK

    def _start(self, mount_from: str | None) -> None:
        """Begin an upload, unless the registry takes the blob from another of its repositories."""
        path, scope = f"/v2/{self._repository}/blobs/uploads/", self._scope
        if mount_from:
            path += "?" + urlencode({"mount": self._digest, "from": mount_from})
            scope += f" repository:{mount_from}:pull"
        # Whoever may not read that repository pushes the blob.
        accept = (201, 202, 401, 403) if mount_from else (201, 202)
        with self._transport.send("POST", path, scope, accept=accept) as response:
            self._arrived = 0
            status = response.status_code
            if status == httpx.codes.ACCEPTED:
                self._location = self._transport.location(response)
        if status >= httpx.codes.BAD_REQUEST:
            self._start(None)

    def _ask(self) -> None:
        """Ask how far the upload came; where that cannot be told it begins anew."""
        location, self._location = self._location, None
        if location is None or self._size <= CHUNK:
            return
        with self._transport.send("GET", location, self._scope, accept=(204, 404)) as response:
            last = _RANGE.fullmatch(response.headers.get("Range", ""))
            # An upload of one byte answers as an empty one does.
            if response.status_code == httpx.codes.NO_CONTENT and last is not None and int(last["last"]) > 0:
                self._arrived = int(last["last"]) + 1
                self._location = self._transport.location(response) if "Location" in response.headers else location

    def _stream(self) -> None:
        start = self._arrived
        if self._location is None or start >= self._size:
            return
        headers = {**_BINARY, "Content-Length": str(self._size - start)}
        if start:
            headers["Content-Range"] = f"{start}-{self._size - 1}"
        with self._transport.send(
            "PATCH", self._location, self._scope, headers=headers, body=lambda: self._content(start), accept=(202,)
        ) as response:
            self._arrived = self._size
            self._location = self._transport.location(response)

    def _finish(self, location: str) -> None:
        location = self._location or location
        target = location + ("&" if "?" in location else "?") + urlencode({"digest": self._digest})
        if self._size > CHUNK:
            headers: Mapping[str, str] = {"Content-Length": "0"}
            with self._transport.send("PUT", target, self._scope, headers=headers, accept=(201,)):
                return
        headers = {**_BINARY, "Content-Length": str(self._size)}
        with self._transport.send(
            "PUT", target, self._scope, headers=headers, body=lambda: self._content(0), accept=(201,)
        ):
            return

    def _content(self, start: int) -> Iterator[bytes]:
        self._sent = True
        self._tell(start)
        with self._open() as stream:
            stream.seek(start)
            while chunk := stream.read(CHUNK):
                yield chunk
                self._tell(self._told + len(chunk))

    def _tell(self, now: int) -> None:
        """Report how far the sending is: less than before when some of it was lost."""
        self._on_progress(now - self._told)
        self._told = now
