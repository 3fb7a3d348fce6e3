"""A server that takes messages as a receiver would: it looks at the signature, and can be told to fail first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook


@dataclass
class Receiver:
    """Answers after `wait` seconds, with the first of `answers` that is left, else with 204."""

    secret: str
    port: int = 0
    answers: list[int] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    seen: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    taken: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=hidden"

    def answer(self, headers: Mapping[str, str], body: bytes) -> int:
        time.sleep(self.wait)
        self.seen.append((headers, body))
        if self.answers:
            return self.answers.pop(0)
        self.taken.append((headers, body))
        return 204

    def events(self) -> list[Any]:
        """What was taken, as two libraries of others read it: once the signature is verified, which ages."""
        for headers, body in self.taken:
            Webhook(self.secret).verify(body, dict(headers))
        return self.aged_events()

    def aged_events(self) -> list[Any]:
        """The same, where the clock of the gate is far from that of the receiver."""
        return [from_http_event(HTTPMessage(headers=dict(headers), body=body)) for headers, body in self.taken]


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answer({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler) as server:
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
