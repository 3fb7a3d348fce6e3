"""Mounting blobs of one repository in another (distribution specification v1.1, "Mounting a blob")."""

from __future__ import annotations

import asyncio

from fastapi import Request

from compliance.oci.digest import Digest
from gate.errors import Fault
from gate.identity.asking import not_allowed
from gate.identity.permissions import Action, Identity, Proof
from gate.service import Service, root_url
from gate.upload_steps import push_scope, step
from gate.upstream import location_of, with_parameters


def require_source(service: Service, request: Request, user: Identity, repository: str, source: str) -> None:
    """Answer 401 to a token that was not made for the source of a mount: one for both can be had, as elsewhere.

    Clients that cannot have it begin an upload instead.
    """
    if user.proof is Proof.BEARER and not user.may(Action.PULL, source):
        challenge = not_allowed(user, Action.PUSH, repository, request, root_url(service, request))
        message = f"this login does not allow {user.name} to mount from {source}"
        raise Fault(challenge.status, challenge.code, message, headers=challenge.headers)


async def mount(service: Service, user: Identity, repository: str, source: str | None, digest: Digest) -> bool:
    """Make a blob of another repository one of this too; False when that cannot be done.

    Only one that the user could also read there, as a pull would let them.
    """
    holders = await asyncio.to_thread(service.store.blobs.holders, digest)
    for holder in holders if source is None else {source} & set(holders):
        stored_as = await _readable(service, user, holder, digest)
        if stored_as is None:
            continue
        scope = f"{push_scope(repository)} repository:{holder}:pull"
        query = with_parameters("", [("mount", stored_as), ("from", holder)])
        path = f"/v2/{repository}/blobs/uploads/"
        async with service.upstream.request("POST", path, scope=scope, query=query) as answer:
            if answer.status == 201:
                await asyncio.to_thread(service.store.blobs.keep, repository, digest, stored_as)
                return True
            begun = location_of(answer) if answer.status == 202 else None
        if begun is not None:  # the registry no longer has it, and began an upload in its place
            abandoned = service.uploads.begin("", repository, begun)
            async with step(service, "DELETE", abandoned):
                pass
    return False


async def _readable(service: Service, user: Identity, repository: str, digest: Digest) -> Digest | None:
    """What the registry calls a blob that the user may read in a repository."""
    if not user.may(Action.PULL, repository):
        return None
    pushed = user.may(Action.PUSH, repository) or await service.audits(repository)
    return await service.readable.blob(repository, digest, published=not pushed)
