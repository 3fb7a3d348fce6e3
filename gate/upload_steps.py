"""The steps of an upload at the registry behind the gate (distribution specification v1.1, "Pushing Blobs")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from gate.service import Service
from gate.uploads import Upload, unknown_upload
from gate.upstream import Answer, location_of, passed_back, refusal


async def begin(service: Service, user: str, repository: str) -> tuple[Upload, dict[str, str]]:
    """A new upload of `user`, with the headers that tell the client where to go on."""
    path = f"/v2/{repository}/blobs/uploads/"
    async with service.upstream.request("POST", path, scope=push_scope(repository)) as answer:
        if answer.status != 202:
            raise await refusal(answer, None)
        location = location_of(answer)
        upload = service.uploads.begin(user, repository, location)
        await asyncio.to_thread(service.intents.upload, upload.id, repository, location)
        return at_next(service, upload, answer)


async def cancel(service: Service, upload: Upload) -> None:
    """Give an upload up. Raises the 404 answer when the registry does not know it."""
    async with step(service, "DELETE", upload) as answer:
        if answer.status != 204:
            raise await refusal(answer, unknown_upload())
    await asyncio.to_thread(service.intents.end, upload.id)
    service.uploads.ended(upload)


async def status(service: Service, upload: Upload) -> tuple[Upload, dict[str, str]]:
    """How far an upload got, in the headers; the `Range` among them is that of what arrived."""
    async with step(service, "GET", upload) as answer:
        if answer.status != 204:
            raise await refusal(answer, unknown_upload())
        return at_next(service, upload, answer, asked=True)


def step(
    service: Service,
    method: str,
    upload: Upload,
    *,
    headers: dict[str, str] | None = None,
    body: AsyncIterator[bytes] | None = None,
) -> AbstractAsyncContextManager[Answer]:
    """The registry's answer to the next request of an upload, open for as long as the block lasts."""
    return service.upstream.request(
        method, upload.path, scope=push_scope(upload.repository), query=upload.query, headers=headers, body=body
    )


def at_next(
    service: Service, upload: Upload, answer: Answer, *, asked: bool = False
) -> tuple[Upload, dict[str, str]]:
    """The upload where the registry goes on with it, and the headers that tell the client."""
    upload = service.uploads.moved(upload, location_of(answer), asked=asked)
    headers = passed_back(answer, "Range", "OCI-Chunk-Min-Length")
    return upload, {
        **headers,
        "Location": service.uploads.location(upload),
        "Docker-Upload-UUID": upload.id,
    }


def push_scope(repository: str) -> str:
    """What a request of an upload asks the registry's token service for."""
    return f"repository:{repository}:pull,push"
