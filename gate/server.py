"""Serving the gate over HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import uvicorn

from compliance.errors import InvalidInput
from compliance.oci.transport import is_loopback
from gate.app import make_app, open_service, utc_now
from gate.settings import Settings
from gate.wire import FileSendingProtocol

GRACE_SECONDS: Final = 30
BACKLOG: Final = 1024
SWITCH_SECONDS: Final = 0.0005
"""How long a thread that judges may keep the interpreter from the one that answers. Python's own 5 ms, several
times a request, make pulls wait for half a second while a large layer is read."""

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before the gate's parts are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Finish what is being answered, for up to GRACE_SECONDS; asked twice, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(settings: Settings, now: Callable[[], datetime] = utc_now) -> None:
    """Serve until SIGINT or SIGTERM; `now` is the clock that decisions go by.

    Raises InvalidInput or Unavailable when the gate cannot start.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    with _listen(settings) as listening:
        starting = asyncio.create_task(_serve(settings, listening, now))
        try:
            _on_signals(starting.cancel)
            await starting
        except asyncio.CancelledError:
            log.info("stopped while starting")


def _on_signals(stop: Callable[[], object]) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop)


async def _serve(settings: Settings, listening: socket.socket, now: Callable[[], datetime]) -> None:
    port = listening.getsockname()[1]
    async with open_service(settings, now) as service:
        config = uvicorn.Config(
            make_app(service),
            http=FileSendingProtocol,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        # Clients that try TLS first would be a warning each time.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        scheme = "https" if settings.tls_certificate else "http"
        name = settings.listen.rpartition(":")[0]
        log.info("listening on %s://%s:%s, registry at %s", scheme, name, port, service.upstream.url)
        if scheme == "http" and not is_loopback(settings.listen):
            log.warning(
                "passwords cross the network in plain text unless something in front of the gate speaks TLS"
            )
        server = _Server(config)
        _on_signals(server.stop)
        await server.serve(sockets=[listening])


def _listen(settings: Settings) -> socket.socket:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise InvalidInput("tls_certificate and tls_key only work together", remedy="Set both or none.")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio turns off Nagle's algorithm on sockets that say they are TCP, and on no others: without that,
        # an answer in two parts waits 40 ms for its second.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address[:2])
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise InvalidInput(
            f"the gate cannot listen on {settings.listen}: {error.strerror}",
            remedy="Choose another --listen HOST:PORT.",
        ) from error
