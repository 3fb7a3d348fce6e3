"""Reading and deleting blobs (distribution specification v1.1, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, Request
from starlette.responses import Response

from compliance.oci.digest import Digest
from gate.answers import VERSION, Passed
from gate.blob_file import BlobFile
from gate.errors import Code, Fault
from gate.identity.permissions import Action
from gate.service import Service, TheDeleter, TheDigest, ThePuller, TheRepository, TheService
from gate.upstream import passed_on, refusal

router = APIRouter()
log = logging.getLogger(__name__)

_BLOB = "/v2/{name:path}/blobs/{digest}"


@router.api_route(_BLOB, methods=["GET", "HEAD"])
async def read_blob(
    repository: TheRepository, digest: TheDigest, user: ThePuller, service: TheService, request: Request
) -> Response:
    """A blob that an admitted manifest of the repository is made of.

    Those who push also see what they have pushed so far, since clients ask before they upload; and where nothing
    is blocked everybody does, as in any registry.
    """
    unknown = Fault(404, Code.BLOB_UNKNOWN, f"no admitted image of {repository} has the blob {digest}")
    published = not user.may(Action.PUSH, repository)
    stored_as = await service.readable.blob(repository, digest, published=published)
    if stored_as is None and published and await service.audits(repository):
        stored_as = await service.readable.blob(repository, digest, published=False)
    if stored_as is None:
        raise unknown
    kept = service.blobs.open(stored_as)
    service.metrics.blob_read(hit=kept is not None)
    if kept is not None:
        return BlobFile(kept, digest)
    opened = service.upstream.request(
        request.method,
        f"/v2/{repository}/blobs/{stored_as}",
        scope=f"repository:{repository}:pull",
        headers=passed_on(request.headers, "Range", "If-None-Match", "If-Range"),
    )
    return Passed(opened, digest, unknown)


@router.delete(_BLOB)
async def delete_blob(
    repository: TheRepository, digest: TheDigest, user: TheDeleter, service: TheService
) -> Response:
    """Take a blob out of the repository. A registry that deletes nothing keeps bytes that nobody can read."""
    forgotten = await asyncio.to_thread(service.store.blobs.forget, repository, digest, by=user.name)
    if forgotten is None:
        raise Fault(404, Code.BLOB_UNKNOWN, f"{repository} has no blob {digest}")
    log.info("blob %s of %s deleted by %s", digest, repository, user.name)
    if forgotten.unused:
        try:
            await _discard(service, repository, forgotten.stored_as)
        except Fault as fault:
            log.warning("the registry keeps the deleted blob %s of %s: %s", digest, repository, fault)
    return Response(status_code=202, headers=VERSION)


async def _discard(service: Service, repository: str, stored_as: Digest) -> None:
    path = f"/v2/{repository}/blobs/{stored_as}"
    async with service.upstream.request("DELETE", path, scope=f"repository:{repository}:delete") as answer:
        if answer.status not in {202, 404, 405}:
            raise await refusal(answer, None)
