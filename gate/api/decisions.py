"""Decisions: every verdict that was reached."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from compliance.oci.digest import Digest
from compliance.policy.decision import Verdict
from gate.api.models import DecisionPage, DecisionSummary
from gate.api.paging import After, Limit, after_moment, next_page
from gate.api.view import TheView, View

router = APIRouter(prefix="/api", tags=["decisions"])

InRepository = Annotated[
    str | None,
    Query(
        max_length=255,
        pattern=r"^[a-z0-9._/-]+$",
        description="Only in this repository.",
        examples=["serving/iris"],
    ),
]


@router.get("/decisions", summary="Every decision")
async def list_decisions(
    view: TheView,
    request: Request,
    repository: InRepository = None,
    verdict: Annotated[Verdict | None, Query(description="Only with this verdict.")] = None,
    limit: Limit = 50,
    after: After = None,
) -> DecisionPage:
    """Newest first."""
    return await decision_page(view, request, repository, verdict, limit, after)


async def decision_page(
    view: View,
    request: Request,
    of: tuple[str, Digest] | str | None,
    verdict: Verdict | None,
    limit: int,
    after: str | None,
) -> DecisionPage:
    """A page of the decisions on one image, in one repository, or in all that may be seen."""
    key = of if isinstance(of, tuple) else None
    found = await asyncio.to_thread(
        view.service.store.catalogue.taken,
        await view.visible(None if isinstance(of, tuple) else of),
        key=key,
        verdict=verdict,
        before=after_moment(after),
        limit=limit + 1,
    )
    decisions = tuple(map(DecisionSummary.model_validate, found[:limit]))
    more = len(found) > limit
    return DecisionPage(
        decisions=decisions,
        next=next_page(request, (decisions[-1].at, decisions[-1].id)) if more else None,
    )
