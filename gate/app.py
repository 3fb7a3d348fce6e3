"""The gate put together: its parts opened and closed in order, and the ASGI application that serves them."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from fastapi import FastAPI

from compliance.errors import InvalidInput, Location, Unavailable
from compliance.models import LayerMemory
from compliance.oci.credentials import Credentials
from gate.admission import Admission
from gate.api import openapi
from gate.audit.checkpoints import FILE as CHECKPOINTS
from gate.audit.checkpoints import Checkpoints
from gate.blob_cache import BlobCache
from gate.embedded import EmbeddedRegistry
from gate.failures import answer_errors
from gate.identity.access import AccessFile, watch_access
from gate.identity.authentication import Authentication
from gate.identity.browsing import Browsing
from gate.identity.code_flow import CodeFlow
from gate.identity.issuer_tokens import IssuerTokens
from gate.identity.limits import Limits
from gate.identity.oidc import Oidc
from gate.identity.passwords import Passwords
from gate.identity.sessions import Sessions
from gate.identity.tokens import Tokens
from gate.identity.watched import Watched
from gate.judges import Judges
from gate.notify.opening import telling
from gate.own_key import own_signer
from gate.pages import pages
from gate.previews.previews import Previews
from gate.publication import Publication
from gate.pushes import Pushes
from gate.readable import Readable
from gate.readiness import Readiness
from gate.reconciler import Reconciler
from gate.rejudging import Rejudging
from gate.routes import base, blobs, manifests, probes, token, uploads
from gate.rulebook import Rulebook
from gate.scratch import own_name, scratch
from gate.service import Service
from gate.settings import Settings
from gate.store import Store
from gate.summaries import Summaries
from gate.telemetry.metrics import Metrics
from gate.telemetry.state import State
from gate.uploads import Uploads
from gate.upstream import Upstream


@asynccontextmanager
async def open_service(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[Service]:
    """Everything that requests need, for as long as the block lasts; `now` is the clock that decisions go by.

    Raises InvalidInput when a setting or a file it names cannot be accepted, Unavailable when something
    that must run does not.
    """
    data = settings.data
    passwords = Passwords(settings.users_file)
    access = watch_access(settings.access_file, required=settings.access is not None)
    async with AsyncExitStack() as stack:
        stack.enter_context(alone_in(data))
        stack.enter_context(scratch(data))
        store = stack.enter_context(closing(Store(settings.database_url, now)))
        rulebook = _rulebook(settings, store, now)
        rulebook.check()
        signer = own_signer(data)
        stack.enter_context(Checkpoints(store.audit, signer, data / CHECKPOINTS, now).kept())
        upstream = await stack.enter_async_context(await open_upstream(settings, store.secret("registry"), stack))
        cache = BlobCache(data / "cache" / "blobs", settings.cache_bytes)
        intents = store.intents(own_name(data), now)
        publication = Publication(store, intents, upstream.client, now)
        kept = timedelta(seconds=settings.uploads_kept)
        reconciler = Reconciler(store, intents, publication, upstream.client, now, uploads_kept=kept)
        admission = _admission(settings, store, rulebook, cache, upstream, publication, now)
        summaries = Summaries(admission, store, upstream.client, signer, gate=settings.public_url)
        stack.enter_context(summaries.catching_up())
        rejudging = Rejudging(store, rulebook, now, summaries.catch_up_soon)
        stack.enter_context(rejudging.every(settings.rejudge))
        stack.enter_context(reconciler.repairing(settings.reconcile))
        metrics = Metrics()
        judges = stack.enter_context(closing(_judges(settings, metrics, admission, summaries)))
        backlog = stack.enter_context(telling(settings, store, rulebook, metrics, now))
        metrics.watch(judges.under_way, backlog, State(rulebook, settings.policies, store.catalogue, now))
        upstream.on_failure = metrics.registry_errors.inc
        # The databases are looked for now, so that the first push does not wait for a download.
        warming = asyncio.create_task(asyncio.to_thread(admission.problems))
        stack.callback(warming.cancel)
        authentication, browsing, code_flow = _identity(settings, store, passwords, access, stack, now)
        yield Service(
            settings=settings,
            authentication=authentication,
            browsing=browsing,
            code_flow=code_flow,
            store=store,
            upstream=upstream,
            admission=admission,
            judges=judges,
            uploads=Uploads(store.secret("uploads")),
            intents=intents,
            readable=Readable(store, now),
            blobs=cache,
            metrics=metrics,
            pushes=Pushes(),
            rulebook=rulebook,
            readiness=Readiness(store, upstream, admission),
            previews=await stack.enter_async_context(Previews(data, settings.policies).open()),
            now=now,
        )


def _rulebook(settings: Settings, store: Store, now: Callable[[], datetime]) -> Rulebook:
    return Rulebook(
        policies=settings.policies,
        bases=settings.bases,
        keys=settings.keys_directory,
        cache=settings.data / "cache",
        sightings=store.sightings,
        trivy=settings.trivy,
        trivy_database=settings.trivy_database,
        now=now,
    )


def _admission(
    settings: Settings,
    store: Store,
    rulebook: Rulebook,
    cache: BlobCache,
    upstream: Upstream,
    publication: Publication,
    now: Callable[[], datetime],
) -> Admission:
    return Admission(
        store,
        rulebook,
        cache,
        upstream.client,
        publication,
        layers=LayerMemory(settings.data / "cache" / "trivy"),
        image_bytes=settings.image_bytes,
        now=now,
    )


def _judges(settings: Settings, metrics: Metrics, admission: Admission, summaries: Summaries) -> Judges:
    return Judges(
        metrics.judging()(admission.judge),
        metrics.publishing()(summaries.publish),
        threads=settings.judges,
        patience=settings.patience,
    )


def _identity(
    settings: Settings,
    store: Store,
    passwords: Passwords,
    access: Watched[AccessFile],
    stack: AsyncExitStack,
    now: Callable[[], datetime],
) -> tuple[Authentication, Browsing, CodeFlow]:
    """What tells who asks: of clients, of readers of pages, and of those who come from a provider."""
    web = stack.enter_context(httpx.Client(headers={"User-Agent": "mlgate"}))
    issuer_tokens = IssuerTokens(web, now)
    authentication = Authentication(
        passwords,
        access,
        Tokens(store.secret("tokens"), settings.token_seconds, now),
        store.robots,
        Oidc(access, issuer_tokens, Sessions(store.secret("tokens"), now)),
        Limits(settings.request_rate),
        store.audit,
    )
    stack.enter_context(closing(authentication))
    browsing = Browsing(store.secret("pages"), authentication, access, now)
    return authentication, browsing, CodeFlow(access, web, issuer_tokens, store.secret("pages"), now)


async def open_upstream(settings: Settings, secret: bytes, stack: AsyncExitStack) -> Upstream:
    """The registry behind the gate, to be entered; an embedded one runs for as long as `stack` is open."""
    if settings.upstream is None:
        registry = await stack.enter_async_context(EmbeddedRegistry(settings.data / "registry", secret))
        return Upstream(registry.url, registry.credentials)
    credentials = None
    if settings.upstream_user is not None and settings.upstream_password is not None:
        credentials = Credentials(settings.upstream_user, settings.upstream_password.get_secret_value())
    return Upstream(settings.upstream, credentials)


@contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Two gates on one data directory would judge with each other's half-read blobs."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "gate.lock").open("w")
    except OSError as error:
        raise InvalidInput(
            f"cannot be written: {error.strerror}",
            at=Location(data),
            remedy="Choose another --data directory, or let the gate write to this one.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(
                f"another gate runs on {data}", remedy="Stop it, or give this one its own --data directory."
            ) from error
        try:
            yield
        except PermissionError as error:
            raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(data)) from error


def make_app(service: Service) -> FastAPI:
    """The application that answers registry clients and readers of reports."""
    app = FastAPI(title="mlgate", openapi_url=None, redirect_slashes=False)
    app.state.service = service
    for router in (
        base.router,
        probes.router,
        uploads.router,
        blobs.router,
        manifests.router,
        token.router,
        openapi.router,
        *openapi.ROUTERS,
        *pages.ROUTERS,
    ):
        app.include_router(router)
    answer_errors(app)
    return app


def make_probes(service: Service) -> FastAPI:
    """The application at the address for metrics."""
    app = FastAPI(title="mlgate probes", openapi_url=None, redirect_slashes=False)
    app.state.service = service
    app.state.aside = True
    app.include_router(probes.router)
    answer_errors(app)
    return app
