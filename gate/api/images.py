"""Images: which there are, and everything about one."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from compliance.evidence import Absent, Evidence
from compliance.inventory import Inventory
from compliance.oci.digest import Digest
from compliance.oci.manifest import Index, Manifest, parse_manifest
from compliance.policy.canonical import from_canonical_json
from compliance.policy.decision import Decision, Verdict
from compliance.policy.reports import from_json
from compliance.sbom import to_cyclonedx
from gate.api import details
from gate.api.decisions import InRepository, decision_page
from gate.api.models import DecisionPage, Findings, Image, ImagePage, ImageSummary
from gate.api.paging import After, Limit, after_image, next_page
from gate.api.view import TheView, View
from gate.catalogue import Availability, Judged
from gate.errors import Code, Fault
from gate.service import TheDigest, TheRepository

router = APIRouter(prefix="/api", tags=["images"])

_ONE = "/images/{name:path}@{digest}"


@router.get("/images", summary="What was pushed, and how it stands")
async def list_images(
    view: TheView,
    request: Request,
    repository: InRepository = None,
    verdict: Annotated[Verdict | None, Query(description="Only with this verdict.")] = None,
    standing: Annotated[Availability | None, Query(description="Only what stands so.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> ImagePage:
    """Everything that was ever judged, by repository and digest, each with the newest decision about it."""
    service = view.service
    found = await asyncio.to_thread(
        service.store.catalogue.judged,
        await view.visible(repository),
        service.now(),
        verdict=verdict,
        standing=standing,
        after=after_image(after),
        limit=limit + 1,
    )
    images = tuple(map(ImageSummary.model_validate, found[:limit]))
    more = len(found) > limit
    last = images[-1] if images else None
    return ImagePage(
        images=images, next=next_page(request, (last.repository, last.digest)) if more and last else None
    )


@router.get(_ONE, summary="Everything about one image")
async def read_image(repository: TheRepository, digest: TheDigest, view: TheView) -> Image:
    """Verdict, findings with what to do about them, layers, provenance, and what is not known."""
    image, _ = await described(view, repository, digest)
    return image


async def described(view: View, repository: str, digest: Digest) -> tuple[Image, Evidence]:
    """Everything about one image, and the evidence that its newest decision was taken on."""
    judged, decision, evidence = await _newest(view, repository, digest)
    store = view.service.store
    subjects = {digest}
    manifest = await asyncio.to_thread(store.manifest, repository, digest)
    if manifest is not None:
        document = parse_manifest(manifest.raw, manifest.media_type)
        if isinstance(document, Manifest):
            subjects.add(document.config.digest)
        elif isinstance(document, Index):
            subjects |= {entry.digest for entry in document.manifests}
    statements = await asyncio.to_thread(store.catalogue.statements, subjects)
    return details.image(judged, decision, evidence, statements), evidence


@router.get(f"{_ONE}/findings", summary="What is wrong with an image, and what mends it")
async def read_findings(repository: TheRepository, digest: TheDigest, view: TheView) -> Findings:
    """Of its newest decision: findings of the base, which its owner mends, and those that are yours."""
    _, decision, _ = await _newest(view, repository, digest)
    return details.findings(decision)


@router.get(f"{_ONE}/decisions", summary="Every decision about an image")
async def read_history(
    repository: TheRepository,
    digest: TheDigest,
    view: TheView,
    request: Request,
    limit: Limit = 50,
    after: After = None,
) -> DecisionPage:
    """Newest first: those that answered a push, and later ones about what had been admitted."""
    await _judged(view, repository, digest)
    return await decision_page(view, request, (repository, digest), None, limit, after)


@router.get(
    f"{_ONE}/sbom",
    summary="The packages of an image, as CycloneDX",
    response_class=Response,
    responses={200: {"content": {"application/vnd.cyclonedx+json": {"schema": {"type": "object"}}}}},
)
async def read_sbom(repository: TheRepository, digest: TheDigest, view: TheView) -> Response:
    """Written from what the gate found in the bytes. The signed one of its builder is among its referrers."""
    _, _, evidence = await _newest(view, repository, digest)
    if isinstance(evidence.inventory, Absent):
        raise Fault(404, Code.UNKNOWN, f"its packages are not known: {evidence.inventory.reason}")
    raw = await asyncio.to_thread(_sbom, evidence, evidence.inventory, repository)
    return Response(raw, media_type="application/vnd.cyclonedx+json")


def _sbom(evidence: Evidence, inventory: Inventory, name: str) -> bytes:
    models = () if isinstance(evidence.models, Absent) else evidence.models
    return to_cyclonedx(inventory, name=name, models=models)


async def _judged(view: View, repository: str, digest: Digest) -> Judged:
    service = view.service
    found = await asyncio.to_thread(
        service.store.catalogue.judged,
        await view.visible(repository),
        service.now(),
        key=(repository, digest),
    )
    if not found:
        raise Fault(404, Code.MANIFEST_UNKNOWN, f"nothing was judged that is {repository}@{digest}")
    return found[0]


async def _newest(view: View, repository: str, digest: Digest) -> tuple[Judged, Decision, Evidence]:
    judged = await _judged(view, repository, digest)
    stored = await view.decision(judged.decision)
    evidence = await asyncio.to_thread(from_canonical_json, stored.evidence, Evidence)
    return judged, await asyncio.to_thread(from_json, stored.decision), evidence
