"""The parts that answer requests, put together, and who is asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.reference import is_host, is_repository, is_tag
from gate.admission import Admission
from gate.blob_cache import BlobCache
from gate.errors import Code, Fault
from gate.identity.asking import identify, not_allowed, require_proof
from gate.identity.authentication import Authentication
from gate.identity.browsing import Browsing
from gate.identity.code_flow import CodeFlow
from gate.identity.permissions import Action, Identity
from gate.intents import Intents
from gate.judges import Judges
from gate.previews.previews import Previews
from gate.pushes import Pushes
from gate.readable import Readable
from gate.readiness import Readiness
from gate.rulebook import Rulebook
from gate.settings import Settings
from gate.store import Store
from gate.telemetry.exchange import asked_by
from gate.telemetry.metrics import Metrics
from gate.uploads import Uploads
from gate.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that a request may need."""

    settings: Settings
    authentication: Authentication
    browsing: Browsing
    code_flow: CodeFlow
    store: Store
    upstream: Upstream
    admission: Admission
    judges: Judges
    uploads: Uploads
    intents: Intents
    readable: Readable
    blobs: BlobCache
    metrics: Metrics
    pushes: Pushes
    rulebook: Rulebook
    readiness: Readiness
    previews: Previews
    now: Callable[[], datetime]

    async def audits(self, repository: str) -> bool:
        """Whether nothing is blocked in a repository, as the policies are now."""
        return await asyncio.to_thread(self.admission.audits, repository)

    async def allows(self, identity: Identity, action: Action, repository: str) -> bool:
        """Whether somebody may do this. Where nothing is blocked, who may push may also delete, as elsewhere."""
        if identity.may(action, repository):
            return True
        pushes = action is Action.DELETE and identity.may(Action.PUSH, repository)
        return pushes and await self.audits(repository)


async def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


TheService = Annotated[Service, Depends(_service)]


async def who_comes(request: Request, service: TheService) -> Identity:
    """Whoever sends the request, a stranger where it says nothing. Raises the 401 answer where that is wrong."""
    identity = await identify(service.authentication, request, root_url(service, request))
    asked_by(identity.name)
    return identity


async def who_asks(request: Request, service: TheService) -> Identity:
    """Whoever the request proves to come from. Raises the 401 answer when it proves nothing."""
    identity = await who_comes(request, service)
    require_proof(identity, request, root_url(service, request))
    return identity


TheReader = Annotated[Identity, Depends(who_asks)]
"""Whoever proves to be somebody. What they may read is for the route to find out: `reader.sees(repository)`."""

LOGGED_IN = Depends(who_asks)
"""For routes that let in everybody who is somebody."""


async def _repository(name: str) -> str:
    if not is_repository(name):
        raise Fault(400, Code.NAME_INVALID, f"not a repository name: {name!r}")
    return name


TheRepository = Annotated[str, Depends(_repository)]


def _allowed(action: Action) -> Callable[..., Awaitable[Identity]]:
    async def allowed(
        repository: TheRepository,
        identity: Annotated[Identity, Depends(who_comes)],
        request: Request,
        service: TheService,
    ) -> Identity:
        if not await service.allows(identity, action, repository):
            raise not_allowed(identity, action, repository, request, root_url(service, request))
        return identity

    return allowed


_puller, _pusher, _deleter = map(_allowed, (Action.PULL, Action.PUSH, Action.DELETE))

ThePuller = Annotated[Identity, Depends(_puller)]
ThePusher = Annotated[Identity, Depends(_pusher)]
TheDeleter = Annotated[Identity, Depends(_deleter)]
"""Whoever may do that in the repository that the path names, which may be a stranger."""

MAY_PULL = Depends(_puller)
"""For routes that ask who it is only to let them in."""


async def _under_way(
    request: Request, user: ThePusher, repository: TheRepository, service: TheService
) -> AsyncIterator[None]:
    manifest = "target" in request.path_params
    with service.pushes.request(user.name, repository, manifest=manifest):
        yield


UNDER_WAY = Depends(_under_way)
"""For routes that a push is made of: a gate that is stopping waits for its end."""


async def _target(target: str) -> str:
    if ":" in target:
        return digest_from(target)
    if not is_tag(target):
        raise Fault(400, Code.MANIFEST_INVALID, f"not a tag or digest: {target!r}")
    return target


TheTarget = Annotated[str, Depends(_target)]


def digest_from(text: str) -> Digest:
    """The digest that a client wrote. Raises the 400 answer when it is none."""
    try:
        return Digest(text)
    except InvalidInput as error:
        raise Fault(400, Code.DIGEST_INVALID, error.message) from error


async def _digest(digest: str) -> Digest:
    return digest_from(digest)


TheDigest = Annotated[Digest, Depends(_digest)]


def root_url(service: Service, request: Request) -> str:
    """The URL that the client knows the gate by.

    Where no public URL is set, its word for that is taken, if it is a host at all; forwarded headers are not.
    """
    host = request.headers.get("Host", "")
    if not is_host(host):
        host = "{}:{}".format(*request.scope["server"])
    return service.settings.public_url or f"{request.scope['scheme']}://{host}"


def report_url(service: Service, request: Request, decision_id: str) -> str:
    """Where the whole report on a decision is read."""
    return f"{root_url(service, request)}/api/decisions/{decision_id}"
