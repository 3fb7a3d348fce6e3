"""A TCP proxy on the loopback that cuts connections, or answers in the server's place, as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """`cuts`: after how many bytes to the server each next connection that sends so many is cut.

    `answer_cuts`: the same for bytes from the server. `answers`: what each next connection is answered instead
    of being passed on. `lose`: the next answer that holds these bytes is lost. `sent` counts the bytes that were
    passed to the server.
    """

    port: int = 0
    cuts: list[int] = field(default_factory=list)
    answer_cuts: list[int] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    lose: bytes = b""
    sent: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def cutting_proxy(to: str) -> Iterator[CuttingProxy]:
    """Pass connections on to `to` (`host:port`) until the block ends."""
    proxy = CuttingProxy()
    host, _, port = to.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.port = listener.getsockname()[1]
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(client,)))
            threads[-1].start()

    def serve(client: socket.socket) -> None:
        with client:
            if proxy.answers:
                client.recv(65536)
                client.sendall(proxy.answers.pop(0))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
                return
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=_answer, args=(proxy, server, client))
                back.start()
                with suppress(OSError):
                    _forward(proxy, client, server)
                for end in (server, client):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                back.join()

    main = threading.Thread(target=accept)
    main.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        main.join()
        for thread in threads:
            thread.join()


def _forward(proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
    passed = 0
    while data := client.recv(65536):
        if proxy.cuts and passed + len(data) > proxy.cuts[0]:
            server.sendall(data[: proxy.cuts.pop(0) - passed])
            return
        server.sendall(data)
        passed += len(data)
        proxy.sent += len(data)


def _answer(proxy: CuttingProxy, server: socket.socket, client: socket.socket) -> None:
    passed = 0
    with suppress(OSError):
        while data := server.recv(65536):
            if proxy.answer_cuts and passed + len(data) > proxy.answer_cuts[0]:
                client.sendall(data[: proxy.answer_cuts.pop(0) - passed])
                client.shutdown(socket.SHUT_RDWR)
                return
            passed += len(data)
            if proxy.lose and proxy.lose in data:
                proxy.lose = b""
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
