"""Manifests, tags and referrers (distribution specification): what was admitted, and the push that is judged."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, Index, parse_manifest
from compliance.oci.referrers import as_referrer_entry
from compliance.policy.decision import Mode
from gate.answers import VERSION, warning
from gate.arrival import receive, too_large
from gate.errors import Code, Fault
from gate.identity.permissions import Action
from gate.schema import StoredDecision
from gate.service import (
    MAY_PULL,
    UNDER_WAY,
    Service,
    TheDeleter,
    TheDigest,
    ThePuller,
    ThePusher,
    TheRepository,
    TheService,
    TheTarget,
    report_url,
)
from gate.standing_words import no_longer_pullable, still_pullable
from gate.telemetry.exchange import judged

router = APIRouter()
log = logging.getLogger(__name__)

MAX_TAGS = 1000


@router.put("/v2/{name:path}/manifests/{target}", dependencies=[UNDER_WAY])
async def push_manifest(
    repository: TheRepository, target: TheTarget, user: ThePusher, service: TheService, request: Request
) -> Response:
    """Judge a manifest while the client waits, and publish it when it is admitted."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip() or None
    raw = await _body(request, service.settings.manifest_bytes)
    push = await asyncio.to_thread(receive, repository, target, user.name, raw, media_type)
    ruling = await service.judges.ruling(push)
    if ruling.decision is not None:
        judged(ruling.decision.id, ruling.decision.verdict, ruling.decision.mode)
    if ruling.kind is None and ruling.decision is not None:
        raise _refused(service, request, ruling.decision)
    await service.judges.publish(push, ruling)
    headers = {
        **VERSION,
        "Location": f"/v2/{repository}/manifests/{push.digest}",
        "Docker-Content-Digest": push.digest,
    }
    if push.document.subject is not None:
        headers["OCI-Subject"] = push.document.subject.digest
    if ruling.decision is not None:
        headers["Mlgate-Decision"] = report_url(service, request, ruling.decision.id)
        if ruling.decision.mode is Mode.AUDIT:
            headers["Warning"] = warning(ruling.decision.line)
    return Response(status_code=201, headers=headers)


@router.api_route("/v2/{name:path}/manifests/{target}", methods=["GET", "HEAD"])
async def read_manifest(
    repository: TheRepository,
    target: TheTarget,
    service: TheService,
    request: Request,
    user: ThePuller,
) -> Response:
    """An admitted manifest, or accepted evidence. A GET of what was refused says why; for a HEAD it is not there.

    An index is there only with all that it names. What was admitted and may no longer be pulled is denied to both.
    Those who may push ask by HEAD whether they have to, and clients that are denied that give up before they push
    what is mended: it is not there for them.
    """
    read = await service.readable.manifest(repository, target)
    found, standing = (None, None) if read is None else (read.manifest, read.standing)
    why = None
    doubtful = read is not None and (read.manifest.audited or not read.whole)
    if found is not None and doubtful and not await service.audits(repository):
        if found.audited:
            # It was let in while nothing was blocked here. Now that something is, it is what it would have been.
            why = await asyncio.to_thread(service.store.decision, found.decision or "")
        found = None
    if found is not None and standing is not None and service.readable.has_ended(standing):
        if request.method == "GET" or not user.may(Action.PUSH, repository):
            raise no_longer_pullable(standing, report_url(service, request, standing.decision))
        found = None
    if found is None:
        if request.method == "GET":
            why = why or await asyncio.to_thread(service.store.latest_refusal, repository, target)
            if why is not None:
                raise _refused(service, request, why)
        raise Fault(404, Code.MANIFEST_UNKNOWN, f"nothing admitted is called {target} in {repository}")
    headers = {
        **VERSION,
        "Docker-Content-Digest": found.digest,
        "Content-Length": str(len(found.raw)),
        "ETag": f'"{found.digest}"',
    }
    decision = found.decision if standing is None else standing.decision
    if decision is not None:
        headers["Mlgate-Decision"] = report_url(service, request, decision)
    if standing is not None:
        headers["Warning"] = still_pullable(standing, headers["Mlgate-Decision"])
    return Response(found.raw, 200, headers, found.media_type)


@router.delete("/v2/{name:path}/manifests/{target}")
async def delete_manifest(
    repository: TheRepository, target: TheTarget, user: TheDeleter, service: TheService
) -> Response:
    """Take a tag away, or a manifest with all its tags. Blobs and evidence about it stay."""
    if not isinstance(target, Digest):
        found = await asyncio.to_thread(service.store.untag, repository, target, by=user.name)
    else:
        found = await asyncio.to_thread(service.admission.retract, repository, target, user.name)
    if not found:
        raise Fault(404, Code.MANIFEST_UNKNOWN, f"nothing admitted is called {target} in {repository}")
    log.info("%s of %s deleted by %s", target, repository, user.name)
    return Response(status_code=202, headers=VERSION)


@router.get("/v2/{name:path}/tags/list", dependencies=[MAY_PULL])
async def list_tags(
    repository: TheRepository,
    service: TheService,
    limit: Annotated[int, Query(alias="n", ge=0)] = MAX_TAGS,
    last: str = "",
) -> Response:
    """The tags of admitted manifests, a page at a time."""
    if not last.isprintable():
        raise Fault(400, Code.UNSUPPORTED, "last: cannot come after what is no text")
    limit = min(limit, MAX_TAGS)
    audited = await service.audits(repository)
    tags = list(
        await asyncio.to_thread(service.store.tags, repository, after=last, limit=limit + 1, audited=audited)
    )
    if not tags and not await asyncio.to_thread(service.store.knows, repository):
        raise Fault(404, Code.NAME_UNKNOWN, f"nothing was admitted to {repository}")
    headers = dict(VERSION)
    if len(tags) > limit > 0:
        query = urlencode({"n": limit, "last": tags[limit - 1]})
        headers["Link"] = f'</v2/{repository}/tags/list?{query}>; rel="next"'
    return JSONResponse({"name": repository, "tags": tags[:limit]}, headers=headers)


@router.get("/v2/{name:path}/referrers/{digest}", dependencies=[MAY_PULL])
async def list_referrers(
    repository: TheRepository,
    digest: TheDigest,
    service: TheService,
    artifact_type: Annotated[str | None, Query(alias="artifactType")] = None,
) -> Response:
    """What refers to a digest, whether or not that was admitted (yet)."""
    audited = await service.audits(repository)
    headers = dict(VERSION)
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    index = await asyncio.to_thread(_referrers, service, repository, digest, artifact_type, audited=audited)
    return Response(index.to_json(), 200, headers, OCI_INDEX)


def _referrers(service: Service, repository: str, digest: Digest, wanted: str | None, *, audited: bool) -> Index:
    rows = service.store.referrers(repository, digest, audited=audited)
    entries = (as_referrer_entry(row.raw, parse_manifest(row.raw, row.media_type), row.digest) for row in rows)
    return Index(manifests=tuple(one for one in entries if wanted in {None, one.artifact_type}))


def _refused(service: Service, request: Request, decision: StoredDecision) -> Fault:
    report = report_url(service, request, decision.id)
    message = f"{decision.line.rstrip('.')}. Report: {report}"
    return Fault(403, Code.DENIED, message, headers={"Mlgate-Decision": report})


async def _body(request: Request, limit: int) -> bytes:
    data = bytearray()
    said = request.headers.get("Content-Length", "")
    if said.isdecimal() and int(said[:20]) > limit:
        raise too_large(limit)
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise too_large(limit)
    return bytes(data)
