"""Serving the gate over HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from compliance.errors import InvalidInput
from compliance.oci.transport import is_loopback
from gate.app import make_app, make_probes, open_service
from gate.clock import utc_now
from gate.cluster.opening import open_webhook
from gate.service import Service
from gate.settings import Settings
from gate.telemetry.observed import Observed
from gate.wire import FileSendingProtocol

DRAIN_SECONDS: Final = 0.1
"""How often a gate that is stopping looks whether all pushes have ended."""

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

    def end(self, seconds: float) -> None:
        """Finish what is being answered, for up to that many seconds."""
        self.config.timeout_graceful_shutdown = max(1, round(seconds))
        self.should_exit = True


class _Ending:
    """How a gate ends that is told to: pushes under way go on and no new ones begin, then nothing is answered.

    Told twice, it ends at once.
    """

    def __init__(self, service: Service, server: _Server) -> None:
        self._service = service
        self._server = server
        self._draining: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._draining is None:
            self._service.pushes.stop()
            self._draining = asyncio.create_task(self._drain())
        else:
            self._server.force_exit = self._server.should_exit = True

    async def _drain(self) -> None:
        pushes, grace = self._service.pushes, self._service.settings.grace
        deadline = time.monotonic() + grace
        log.info("stopping: pushes under way, which have %g s to end: %d", grace, pushes.under_way())
        while pushes.under_way() and time.monotonic() < deadline and not self._server.should_exit:
            await asyncio.sleep(DRAIN_SECONDS)
        if pushes.under_way():
            log.warning("stopping: pushes that did not end in time: %d", pushes.under_way())
        self._server.end(deadline - time.monotonic())


async def serve(settings: Settings, now: Callable[[], datetime] = utc_now) -> None:
    """Serve until SIGINT or SIGTERM; `now` is the clock that decisions go by.

    Raises InvalidInput or Unavailable when the gate cannot start.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise InvalidInput("tls_certificate and tls_key only work together", remedy="Set both or none.")
    _require_certificate(settings.tls_certificate, settings.tls_key)
    with _listen(settings.listen, "--listen") as listening:
        starting = asyncio.create_task(_serve(settings, listening, now))
        try:
            _on_signals(starting.cancel)
            await starting
        except asyncio.CancelledError:
            log.info("stopped while starting")


def _require_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raise InvalidInput where the gate could not serve with these; neither is good too."""
    if certificate is None or key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # an ssl.SSLError is one
        raise InvalidInput(
            f"cannot serve with tls_certificate and tls_key: {error.strerror or error}",
            remedy=f"Each of these is to be a PEM file that the gate may read: {certificate}, {key}.",
        ) from error


def _on_signals(stop: Callable[[], object]) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop)


async def _serve(settings: Settings, listening: socket.socket, now: Callable[[], datetime]) -> None:
    port = listening.getsockname()[1]
    async with open_service(settings, now) as service, _probed(settings, service), _asked_by_cluster(service):
        config = _config(Observed(make_app(service), service.metrics), settings.tls_certificate, settings.tls_key)
        # Clients that try TLS first would be a warning each time.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        scheme = "https" if settings.tls_certificate else "http"
        name = settings.listen.rpartition(":")[0]
        log.info("listening on %s://%s:%s, registry at %s behind it", scheme, name, port, service.upstream.url)
        if scheme == "http" and not is_loopback(settings.listen):
            log.warning(
                "passwords cross the network in plain text unless something in front of the gate speaks TLS"
            )
        server = _Server(config)
        _on_signals(_Ending(service, server).begin)
        await server.serve(sockets=[listening])


@asynccontextmanager
async def _probed(settings: Settings, service: Service) -> AsyncIterator[None]:
    """Serve health and metrics at an address of their own, where there is one, until the block ends."""
    if settings.metrics_listen is None:
        yield
        return
    with _listen(settings.metrics_listen, "--metrics-listen") as listening:
        server = _Server(_config(make_probes(service)))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        log.info("metrics at http://%s:%d", *listening.getsockname()[:2])
        try:
            yield
        finally:
            server.end(1)
            await serving


@asynccontextmanager
async def _asked_by_cluster(service: Service) -> AsyncIterator[None]:
    """Serve the webhook for Kubernetes at its address, where there is a cluster file, until the block ends."""
    path = service.settings.cluster
    if path is None:
        yield
        return
    webhook = open_webhook(path, service)
    with _listen(webhook.listen, f"`listen` in {path}") as listening:
        config = _config(Observed(webhook.app, service.metrics))
        config.ssl_context_factory = lambda _config, _default: webhook.certificate.context
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        renewing = asyncio.create_task(webhook.certificate.renewed())
        log.info("webhook for Kubernetes at https://%s:%d", *listening.getsockname()[:2])
        try:
            yield
        finally:
            renewing.cancel()
            server.end(1)
            await serving


def _config(app: ASGIApp, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=FileSendingProtocol,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


def _listen(address: str, option: str) -> socket.socket:
    try:
        host, _, port = address.rpartition(":")
        family, _, _, _, name = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio turns off Nagle's algorithm on sockets that say they are TCP, and on no others: without that,
        # an answer in two parts waits 40 ms for its second.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(name[:2])
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise InvalidInput(
            f"the gate cannot listen on {address}: {error.strerror}",
            remedy=f"Choose another {option} HOST:PORT.",
        ) from error
