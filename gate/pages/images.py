"""Pages of images: which there are, and everything about one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import Response

from compliance.evidence import Absent
from compliance.policy.decision import Verdict
from gate.api import images
from gate.api.decisions import InRepository, decision_page
from gate.api.paging import After
from gate.catalogue import Availability
from gate.pages.rendering import HEADERS
from gate.pages.route import BLANK, ThePageView, page_router, shown
from gate.service import TheDigest, TheRepository

router = page_router()

SHOWN: Final = 50
HISTORY: Final = 20
_ONE: Final = "/images/{name:path}@{digest}"


@router.get("/images")
async def list_images(
    view: ThePageView,
    request: Request,
    repository: Annotated[InRepository, BLANK] = None,
    verdict: Annotated[Verdict | None, BLANK, Query()] = None,
    standing: Annotated[Availability | None, BLANK, Query()] = None,
    after: After = None,
) -> Response:
    """By repository and digest, each with the newest decision about it."""
    page = await images.list_images(view, request, repository, verdict, standing, SHOWN, after)
    return shown(
        "images.html",
        view,
        title="Images",
        page=page,
        repository=repository or "",
        verdict=verdict,
        standing=standing,
        verdicts=list(Verdict),
        standings=list(Availability),
    )


@router.get(f"{_ONE}/sbom")
async def read_sbom(repository: TheRepository, digest: TheDigest, view: ThePageView) -> Response:
    """The packages of an image, to keep."""
    answer = await images.read_sbom(repository, digest, view)
    answer.headers.update(HEADERS)
    name = f"{repository.replace('/', '-')}-{digest.hex[:12]}.cdx.json"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@router.get(_ONE)
async def read_image(
    repository: TheRepository, digest: TheDigest, view: ThePageView, request: Request, after: After = None
) -> Response:
    """Verdict, findings with what to do about them, what is in it, and all decisions about it."""
    image, evidence = await images.described(view, repository, digest)
    history = await decision_page(view, request, (repository, digest), None, HISTORY, after)
    packages = [] if isinstance(evidence.inventory, Absent) else evidence.inventory.packages
    return await asyncio.to_thread(
        shown,
        "image.html",
        view,
        title=f"{repository} {digest.hex[:12]}",
        image=image,
        packages=sorted(packages, key=lambda one: (one.ecosystem, one.name)),
        history=history,
    )
