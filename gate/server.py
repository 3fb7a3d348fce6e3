"""Serving the gate over HTTP."""

from __future__ import annotations

import logging
import socket
from typing import Final

import uvicorn

from compliance.errors import InvalidInput
from compliance.oci.transport import is_loopback
from gate.app import make_app, open_service
from gate.settings import Settings

GRACE_SECONDS: Final = 30

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises InvalidInput or Unavailable when the gate cannot start."""
    listening = _listen(settings)
    with listening:
        port = listening.getsockname()[1]
        async with open_service(settings) as service:
            config = uvicorn.Config(
                make_app(service),
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACE_SECONDS,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
            )
            # Clients that try TLS first would be a warning each time.
            logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
            scheme = "https" if settings.tls_certificate else "http"
            log.info("listening on %s://%s:%s, registry at %s", scheme, settings.host, port, service.upstream.url)
            if scheme == "http" and not is_loopback(settings.listen):
                log.warning(
                    "passwords cross the network in plain text unless something in front of the gate speaks TLS"
                )
            await uvicorn.Server(config).serve(sockets=[listening])


def _listen(settings: Settings) -> socket.socket:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise InvalidInput("tls_certificate and tls_key only work together", remedy="Set both or none.")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise InvalidInput(
            f"the gate cannot listen on {settings.listen}: {error.strerror}",
            remedy="Choose another --listen HOST:PORT.",
        ) from error
