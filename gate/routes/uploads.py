"""Pushing blobs (distribution specification v1.1, "Pushing Blobs"): whole, in chunks, streamed, and mounted."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from compliance.oci.digest import Digest
from compliance.oci.reference import is_repository
from gate.answers import VERSION
from gate.blob_size import Bounded, received, says_too_much, too_large
from gate.errors import Code, Fault, upstream_down
from gate.mounts import mount, require_source
from gate.service import UNDER_WAY, Service, ThePusher, TheRepository, TheService, digest_from
from gate.upload_steps import at_next, begin, cancel, push_scope, status, step
from gate.uploads import Upload, unknown_upload
from gate.upstream import Answer, passed_on, refusal, with_parameters

router = APIRouter(dependencies=[UNDER_WAY])
log = logging.getLogger(__name__)

_UPLOADS: Final = "/v2/{name:path}/blobs/uploads/"
_SESSION: Final = _UPLOADS + "{session}"
_CONTENT_RANGE: Final = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})")


@router.post(_UPLOADS)
async def start_upload(
    repository: TheRepository, user: ThePusher, service: TheService, request: Request
) -> Response:
    """Begin an upload, mount a blob of another repository, or take a whole blob in one request."""
    parameters = request.query_params
    wanted = parameters.get("mount") or parameters.get("digest")
    digest = None if wanted is None else digest_from(wanted)
    source = parameters.get("from")
    if source is not None and not is_repository(source):
        raise Fault(400, Code.NAME_INVALID, f"not a repository name: {source!r}")
    if "mount" in parameters and source is not None:
        require_source(service, request, user, repository, source)
    if "mount" in parameters and digest is not None and await mount(service, user, repository, source, digest):
        return _created(repository, digest)
    upload, headers = await begin(service, user.name, repository)
    if digest is None or "mount" in parameters:
        return Response(status_code=202, headers={**VERSION, **headers})
    return await _finish(service, request, upload, digest)


@router.patch(_SESSION)
async def upload_chunk(
    repository: TheRepository, session: str, user: ThePusher, service: TheService, request: Request
) -> Response:
    """More bytes of a blob: the next chunk, or all of it as a stream."""
    upload = service.uploads.find(user.name, repository, session, request.query_params)
    await _require_in_order(service, upload, request)
    # Sent on in pieces of unsaid length, so that what a client sent before it was cut off can be kept.
    headers = {"Content-Type": "application/octet-stream"}
    limit = service.settings.blob_bytes
    body = Bounded(_as_far_as_it_goes(request), limit)
    if says_too_much(request.headers, limit):
        raise await _given_up(service, upload)
    async with step(service, "PATCH", upload, headers=headers, body=aiter(body)) as answer:
        if answer.status != 202:
            raise await refusal(answer, unknown_upload())
        upload, headers = at_next(service, upload, answer)
    if body.exceeded or received(headers) > limit:
        raise await _given_up(service, upload)
    await asyncio.to_thread(service.intents.moved, upload.id, upload.target)
    return Response(status_code=202, headers={**VERSION, **headers})


@router.put(_SESSION)
async def finish_upload(
    repository: TheRepository, session: str, user: ThePusher, service: TheService, request: Request
) -> Response:
    """The end of an upload, with the last chunk or the whole blob where none came before."""
    digest = digest_from(request.query_params.get("digest", ""))
    upload = service.uploads.find(user.name, repository, session, request.query_params)
    await _require_in_order(service, upload, request)
    before = 0
    if request.headers.get("Content-Length") != "0":
        upload, headers = await status(service, upload)
        before = received(headers)
    return await _finish(service, request, upload, digest, before)


@router.get(_SESSION)
async def upload_status(
    repository: TheRepository, session: str, user: ThePusher, service: TheService, request: Request
) -> Response:
    """How far an upload got."""
    upload = service.uploads.find(user.name, repository, session, request.query_params)
    _, headers = await status(service, upload)
    return Response(status_code=204, headers={**VERSION, **headers})


@router.delete(_SESSION)
async def cancel_upload(
    repository: TheRepository, session: str, user: ThePusher, service: TheService, request: Request
) -> Response:
    """Give an upload up."""
    upload = service.uploads.find(user.name, repository, session, request.query_params)
    await cancel(service, upload)
    return Response(status_code=204, headers=VERSION)


async def _given_up(service: Service, upload: Upload) -> Fault:
    """The answer to a blob that is too large, whose upload ends here."""
    try:
        await cancel(service, upload)
    except Fault as fault:
        log.warning("the registry keeps what arrived of an upload that is too large: %s", fault)
    return too_large(service.settings.blob_bytes)


async def _finish(service: Service, request: Request, upload: Upload, digest: Digest, before: int = 0) -> Response:
    left = service.settings.blob_bytes - before
    body = Bounded(request.stream(), left)
    if says_too_much(request.headers, left):
        raise await _given_up(service, upload)
    headers = passed_on(request.headers, "Content-Length", "Content-Type")
    query = with_parameters(upload.query, [("digest", digest)])
    async with service.upstream.request(
        "PUT",
        upload.path,
        scope=push_scope(upload.repository),
        query=query,
        headers=headers,
        body=aiter(body),
    ) as answer:
        if answer.status != 201 and not body.exceeded:
            raise await refusal(answer, unknown_upload())
        if body.exceeded:
            raise too_large(service.settings.blob_bytes)
        stored_as = _stored_as(answer, digest)
    keep = partial(service.store.blobs.keep, upload=upload.id)
    await asyncio.to_thread(keep, upload.repository, digest, stored_as)
    service.uploads.ended(upload)
    return _created(upload.repository, digest)


def _stored_as(answer: Answer, digest: Digest) -> Digest:
    """What the registry calls the blob that it has taken under `digest`: the same, or its own digest for it."""
    said = answer.headers.get("Docker-Content-Digest", digest)
    if said == digest or digest.algorithm == "sha256":
        return digest
    try:
        return digest_from(said)
    except Fault as fault:
        log.warning("the registry stored %s under %r, which is no digest", digest, said)
        raise upstream_down() from fault


async def _require_in_order(service: Service, upload: Upload, request: Request) -> None:
    """Answer 416 to a chunk that does not start where the last one ended ("Pushing a blob in chunks").

    So is one by an old Location that does not say where it starts: it may have arrived already.
    """
    said = request.headers.get("Content-Range")
    if said is None and not upload.stale:
        return
    match = _CONTENT_RANGE.fullmatch(said or "")
    _, headers = await status(service, upload)
    # An empty upload answers `0-0`, as one of a single byte does; a chunk may then start at either.
    end = int(headers.get("Range", "0-0").rpartition("-")[2])
    starts = {0, 1} if end == 0 else {end + 1}
    if match is None or int(match[1]) not in starts or int(match[2]) < int(match[1]):
        raise Fault(416, Code.BLOB_UPLOAD_INVALID, f"the next chunk starts at {min(starts)}", headers=headers)
    length = request.headers.get("Content-Length")
    counted = int(match[2]) - int(match[1]) + 1
    if length is not None and int(length) != counted:
        message = f"the chunk has {length} bytes, and its Content-Range says {counted}"
        raise Fault(400, Code.SIZE_INVALID, message, headers=headers)


async def _as_far_as_it_goes(request: Request) -> AsyncIterator[bytes]:
    """The body of a request, ending where the client was cut off: what came before is good."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        log.info("%s was cut off; what came before is kept", request.url.path)


def _created(repository: str, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest}
    return Response(status_code=201, headers={**VERSION, **headers})
