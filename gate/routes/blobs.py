"""Blobs and their uploads (distribution specification, "Pulling blobs" and "Pushing Blobs"), streamed through."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from compliance.oci.reference import is_repository
from gate.answers import VERSION, Passed
from gate.errors import Code, Fault
from gate.service import MAY_PUSH, Service, TheDigest, TheRepository, TheService, TheUser, sha256_digest
from gate.upstream import passed_back, passed_on, with_parameters
from gate.users import Role

router = APIRouter()

_UPLOADS: Final = "/v2/{name:path}/blobs/uploads/"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~=+-]*")
"""What an upload may be called: nothing that could lead to another path of the registry."""

_SESSION: Final = "/v2/{name:path}/blobs/uploads/{session}"


@router.post(_UPLOADS, dependencies=[MAY_PUSH])
async def start_upload(repository: TheRepository, service: TheService, request: Request) -> Response:
    """Begin an upload, mount a blob of another repository, or take a whole blob in one request."""
    query = request.url.query
    parameters = request.query_params
    for name in ("digest", "mount"):
        if name in parameters:
            sha256_digest(parameters[name])
    whole = "digest" in parameters and "mount" not in parameters
    path = f"/v2/{repository}/blobs/uploads/"
    scope = _scope(repository)
    if "from" in parameters:
        if not is_repository(parameters["from"]):
            raise Fault(400, Code.NAME_INVALID, f"not a repository name: {parameters['from']!r}")
        scope += f" repository:{parameters['from']}:pull"
    headers = {} if whole else passed_on(request.headers)
    async with service.upstream.request(
        "POST", path, scope=scope, query="" if whole else query, headers=headers
    ) as upstream:
        answer = passed_back(upstream)
        if not whole or upstream.status != 202:
            return Response(await upstream.read(), upstream.status, {**VERSION, **answer})
    path, _, state = answer["Location"].partition("?")
    finish = with_parameters(state, [("digest", parameters["digest"])])
    return _streamed(service, request, repository, path, finish)


@router.api_route(_SESSION, methods=["PATCH", "PUT", "GET", "DELETE"], dependencies=[MAY_PUSH])
async def upload(
    repository: TheRepository,
    session: str,
    service: TheService,
    request: Request,
) -> Response:
    """One step of an upload: more bytes, the end, a question how far it got, or giving up."""
    if not _PLAIN.fullmatch(session):
        raise Fault(404, Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload")
    path = f"/v2/{repository}/blobs/uploads/{session}"
    if request.method == "PUT":
        sha256_digest(request.query_params.get("digest", ""))
    if "Content-Range" in request.headers:
        await _require_in_order(service, request, repository, path)
    return _streamed(service, request, repository, path, request.url.query)


@router.api_route("/v2/{name:path}/blobs/{digest}", methods=["GET", "HEAD"])
async def read_blob(
    repository: TheRepository, digest: TheDigest, user: TheUser, service: TheService, request: Request
) -> Response:
    """A blob that an admitted manifest of the repository is made of.

    Those who push also see what they have pushed so far, since clients ask before they upload.
    """
    unknown = Fault(404, Code.BLOB_UNKNOWN, f"no admitted image of {repository} has the blob {digest}")
    if not user.role.includes(Role.PUSH) and not await asyncio.to_thread(
        service.store.may_read_blob, repository, digest
    ):
        raise unknown
    opened = service.upstream.request(
        request.method,
        f"/v2/{repository}/blobs/{digest}",
        scope=f"repository:{repository}:pull",
        headers=passed_on(request.headers),
    )
    return Passed(opened, unknown)


def _streamed(service: Service, request: Request, repository: str, path: str, query: str) -> Response:
    body = request.stream() if request.method in {"POST", "PATCH", "PUT"} else None
    method = "PUT" if request.method == "POST" else request.method
    headers = passed_on(request.headers)
    return Passed(
        service.upstream.request(method, path, scope=_scope(repository), query=query, headers=headers, body=body)
    )


async def _require_in_order(service: Service, request: Request, repository: str, path: str) -> None:
    """Answer 416 to a chunk that does not start where the last one ended ("Pushing a blob in chunks")."""
    async with service.upstream.request(
        "GET", path, scope=_scope(repository), query=request.url.query
    ) as upstream:
        headers = passed_back(upstream)
        if upstream.status != 204:
            raise Fault(404, Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload")
    # An empty session answers `0-0`, as one of a single byte does; a chunk may then start at either.
    end = int(headers.get("Range", "0-0").rpartition("-")[2])
    start = request.headers["Content-Range"].removeprefix("bytes ").partition("-")[0]
    if start not in ({"0", "1"} if end == 0 else {str(end + 1)}):
        raise Fault(416, Code.BLOB_UPLOAD_INVALID, f"the next chunk starts at {end + 1}", headers=headers)


def _scope(repository: str) -> str:
    return f"repository:{repository}:pull,push"
