"""Pushes that are interrupted: a way to the registry that ends at a chosen request, and a client that bears it."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import Final

from compliance.errors import Unavailable
from compliance.oci.registry import RegistryClient, RegistryError
from tests.gate.conftest import Image

PUBLISHES: Final = re.compile(rb"^PUT \S+/manifests/", re.MULTILINE)
"""The request that stores a manifest."""

ATTACHES: Final = re.compile(rb"^(POST|HEAD|PUT) \S+/blobs/", re.MULTILINE)
"""A request about a blob: the first one after an image's manifest begins what is attached to the image."""


class StoppingProxy:
    """Passes connections on to a registry at `target`, a port, until what it is told to stop at; then nothing.

    It stops at a request that `at` matches, where `after` is given only once one that this matches has passed.
    """

    def __init__(self, target: int, at: re.Pattern[bytes], after: re.Pattern[bytes] | None = None) -> None:
        self._target = target
        self._at = at
        self._after = after
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.stopped = threading.Event()
        self._armed = threading.Event()
        if after is None:
            self._armed.set()
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with source, sink, suppress(OSError):
            while data := source.recv(1 << 16):
                if self._armed.is_set() and self._at.search(data):
                    self.stopped.set()
                    self._closed.wait()
                    return
                if self._after is not None and self._after.search(data):
                    self._armed.set()
                sink.sendall(data)

    def close(self) -> None:
        self._closed.set()
        self._server.close()


def push_into_the_void(image: Image, client: RegistryClient, repository: str = "team/killed") -> None:
    """Push to a gate that is killed meanwhile."""
    with suppress(RegistryError, Unavailable):
        image.push(client, repository, "v1")
