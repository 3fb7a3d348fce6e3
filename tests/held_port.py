"""Ports for servers that are started later, or once more."""

from __future__ import annotations

import os
import socket
import weakref


class HeldPort:
    """A free port of the loopback, which is given to nobody else for as long as this object is there.

    A bound socket holds it. Whoever names the port and reuses addresses, as servers do, may listen on it.
    """

    def __init__(self) -> None:
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            self.number: int = held.getsockname()[1]
            weakref.finalize(self, os.close, held.detach())
