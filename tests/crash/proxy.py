"""An HTTP proxy between a gate and its registry that fails as it is told, and holds a request at a moment."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Failure(StrEnum):
    """How the registry fails."""

    REFUSES = "refuses"
    CUTS = "cuts"
    STALLS = "stalls"
    ERRORS = "errors"


class Moment(StrEnum):
    """Before a request has reached the registry, or after it has done what was asked."""

    BEFORE = "before"
    AFTER = "after"


@dataclass
class Hold:
    """The next request of this form waits at this moment; `reached` is set when it does."""

    method: str
    path: re.Pattern[str]
    moment: Moment
    skip: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        self.reached.set()
        self.released.wait(60)


class Proxy:
    """Listens on `port` of the loopback, and passes requests to `target`, another port there."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.failure: Failure | None = None
        self._hold: Hold | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self.port: int = self._server.server_address[1]
        serve = partial(self._server.serve_forever, poll_interval=0.05)
        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    @contextmanager
    def holding(self, method: str, path: str, moment: Moment, *, skip: int = 0) -> Iterator[Hold]:
        """Hold the next such request, `skip` of them let through before, until the block ends."""
        hold = Hold(method, re.compile(path), moment, skip)
        with self._lock:
            self._hold = hold
        try:
            yield hold
        finally:
            with self._lock:
                self._hold = None
            hold.released.set()

    def hold_for(self, method: str, path: str, moment: Moment) -> Hold | None:
        with self._lock:
            hold = self._hold
            if hold is None or hold.method != method or hold.moment != moment or not hold.path.search(path):
                return None
            if hold.skip:
                hold.skip -= 1
                return None
            self._hold = None
            return hold

    def stall(self) -> None:
        self._ended.wait(1)

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A gate that was killed has cut its connections; that is what this is for."""


def _handler_for(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._pass_on
            raise AttributeError(name)

        def _pass_on(self) -> None:
            body = _body(self)
            failure = proxy.failure
            if failure in {Failure.REFUSES, Failure.STALLS}:
                if failure is Failure.STALLS:
                    proxy.stall()
                self.close_connection = True
                return
            if failure is Failure.ERRORS:
                self._answer(500, [("Content-Type", "text/plain")], b"out of order")
                return
            if (hold := proxy.hold_for(self.command, self.path, Moment.BEFORE)) is not None:
                hold.wait()
                self.close_connection = True  # whoever asked is dead
                return
            connection = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            headers["Content-Length"] = str(len(body))
            if self.command in {"GET", "HEAD"}:
                del headers["Content-Length"]
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if (hold := proxy.hold_for(self.command, self.path, Moment.AFTER)) is not None:
                hold.wait()
                self.close_connection = True
                return
            if failure is Failure.CUTS:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncut")
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheaders(), data, int(answer.getheader("Content-Length") or 0))

        def _answer(
            self, status: int, headers: list[tuple[str, str]], data: bytes, length: int | None = None
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(length if self.command == "HEAD" and length else len(data)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

    return Handler


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if "chunked" in handler.headers.get("Transfer-Encoding", ""):
        data = b""
        while size := int(handler.rfile.readline().partition(b";")[0], 16):
            data += handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
        return data
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
