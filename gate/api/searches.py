"""Across images: who uses a package, and where a vulnerability is."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from gate.api.models import PackagePage, PackageUse, VulnerabilityPage, VulnerabilityUse
from gate.api.paging import After, Limit, after_row, next_page
from gate.api.view import TheView
from gate.errors import Code, Fault

router = APIRouter(prefix="/api", tags=["searches"])

_WORD = r"^[^\x00-\x1f]+$"


@router.get("/packages", summary="Who uses a package")
async def find_packages(
    view: TheView,
    request: Request,
    purl: Annotated[
        str | None,
        Query(
            max_length=512,
            pattern=_WORD,
            description="Package URL, with version.",
            examples=["pkg:pypi/numpy@2.1.0"],
        ),
    ] = None,
    name: Annotated[
        str | None,
        Query(
            max_length=255,
            pattern=_WORD,
            description="Name, as its ecosystem normalises it.",
            examples=["numpy"],
        ),
    ] = None,
    version: Annotated[
        str | None,
        Query(max_length=255, pattern=_WORD, description="Only this version of it.", examples=["2.1.0"]),
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> PackagePage:
    """The published images that hold a package: by its purl, or by its name and perhaps version."""
    if purl is None and name is None:
        raise Fault(400, Code.UNSUPPORTED, "say which package: purl=pkg:pypi/numpy@2.1.0, or name=numpy")
    found = await asyncio.to_thread(
        view.service.store.contents.uses,
        await view.visible(None),
        purl=purl,
        name=name,
        version=version,
        after=after_row(after),
        limit=limit + 1,
    )
    uses = found[:limit]
    last = uses[-1] if len(found) > limit else None
    return PackagePage(
        uses=tuple(map(PackageUse.model_validate, uses)),
        next=None if last is None else next_page(request, (last.repository, last.digest, last.number)),
    )


@router.get("/findings", summary="Where a vulnerability is")
async def find_vulnerability(
    view: TheView,
    request: Request,
    vulnerability: Annotated[
        str,
        Query(
            max_length=128,
            pattern=_WORD,
            description="Its id, or another of its names.",
            examples=["CVE-2024-3094"],
        ),
    ],
    limit: Limit = 50,
    after: After = None,
) -> VulnerabilityPage:
    """The published images that have a known vulnerability, as of when each was judged last, waived or not."""
    found = await asyncio.to_thread(
        view.service.store.contents.affected,
        await view.visible(None),
        vulnerability,
        after=after_row(after),
        limit=limit + 1,
    )
    here = found[:limit]
    last = here[-1] if len(found) > limit else None
    return VulnerabilityPage(
        found=tuple(map(VulnerabilityUse.model_validate, here)),
        next=None if last is None else next_page(request, (last.repository, last.digest, last.number)),
    )
