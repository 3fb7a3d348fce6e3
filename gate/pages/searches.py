"""Pages that search across images: who uses a package, and where a vulnerability is."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import Response

from gate.api import searches
from gate.api.paging import After
from gate.pages.route import BLANK, ThePageView, page_router, shown

router = page_router()

SHOWN: Final = 50

Word = Annotated[str | None, BLANK, Query(max_length=512, pattern=r"^[^\x00-\x1f]+$")]


@router.get("/packages")
async def find_packages(
    view: ThePageView, request: Request, name: Word = None, version: Word = None, after: After = None
) -> Response:
    """The published images that hold a package, by its name or its purl."""
    page = None
    if name is not None:
        purl, plain = (name, None) if name.startswith("pkg:") else (None, name)
        page = await searches.find_packages(view, request, purl, plain, version, SHOWN, after)
    return shown(
        "packages.html",
        view,
        title="Who uses a package",
        name=name or "",
        wanted=version or "",
        page=page,
    )


@router.get("/vulnerabilities")
async def find_vulnerability(
    view: ThePageView, request: Request, id_: Annotated[Word, Query(alias="id")] = None, after: After = None
) -> Response:
    """The published images that have a known vulnerability."""
    page = None if id_ is None else await searches.find_vulnerability(view, request, id_, SHOWN, after)
    return shown("vulnerabilities.html", view, title="Where a vulnerability is", id=id_ or "", page=page)
