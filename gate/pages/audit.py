"""The page of the audit log, for those who review every repository."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response

from gate.errors import Code, Fault
from gate.pages.route import ThePageView, may_audit, page_router, shown

router = page_router()

SHOWN: Final = 100


@router.get("/audit")
async def read_audit(view: ThePageView, before: Annotated[int | None, Query(ge=1, le=2**62)] = None) -> Response:
    """Newest first."""
    if not may_audit(view):
        raise Fault(404, Code.UNKNOWN, "there is no such page")
    found = await asyncio.to_thread(view.service.store.audit.newest, before, SHOWN + 1)
    following = found[SHOWN - 1].sequence if len(found) > SHOWN else None
    return shown("audit.html", view, title="Audit", entries=found[:SHOWN], following=following)
