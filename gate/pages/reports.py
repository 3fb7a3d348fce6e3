"""Pages of decisions: all of them, and the report on one, which a refused push leads to."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import Query, Request
from starlette.responses import Response

from compliance.policy.decision import Status, Verdict
from compliance.policy.reports import from_json
from gate.api.decisions import InRepository, decision_page
from gate.api.details import findings
from gate.api.paging import After
from gate.pages.rendering import HEADERS
from gate.pages.route import BLANK, ThePageView, page_router, shown

router = page_router()

SHOWN: Final = 50


@router.get("/decisions")
async def list_decisions(
    view: ThePageView,
    request: Request,
    repository: Annotated[InRepository, BLANK] = None,
    verdict: Annotated[Verdict | None, BLANK, Query()] = None,
    after: After = None,
) -> Response:
    """Newest first."""
    page = await decision_page(view, request, repository, verdict, SHOWN, after)
    return shown(
        "decisions.html",
        view,
        title="Decisions",
        page=page,
        repository=repository or "",
        verdict=verdict,
        verdicts=list(Verdict),
    )


@router.get("/decisions/{id_}/report.json")
async def keep_report(id_: str, view: ThePageView) -> Response:
    """The same for programs, byte for byte as it was stored."""
    stored = await view.decision(id_)
    name = {"Content-Disposition": f'attachment; filename="decision-{stored.id}.json"'}
    return Response(stored.decision, media_type="application/json", headers={**HEADERS, **name})


@router.get("/decisions/{id_}")
async def read_report(id_: str, view: ThePageView) -> Response:
    """What broke which rule, who brought it, and what to do."""
    stored = await view.decision(id_)
    decision = await asyncio.to_thread(from_json, stored.decision)
    return await asyncio.to_thread(
        shown,
        "report.html",
        view,
        title=f"{decision.verdict.value} {stored.repository}",
        stored=stored,
        decision=decision,
        findings=findings(decision),
        undecided=decision.with_status(Status.UNDECIDED),
        broken=decision.with_status(Status.DENIED, Status.WARNED),
        passed=decision.with_status(Status.PASSED, Status.WAIVED),
    )
