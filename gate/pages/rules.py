"""Pages of the rules in force: policies with their reasons, and waivers with what they excuse."""

from __future__ import annotations

from starlette.responses import Response

from gate.api import rules
from gate.pages.route import ThePageView, page_router, shown

router = page_router()


@router.get("/policies")
async def read_policies(view: ThePageView) -> Response:
    return shown("policies.html", view, title="Policies", found=await rules.read_policies(view))


@router.get("/waivers")
async def read_waivers(view: ThePageView) -> Response:
    """Those that end first before the others."""
    found = await rules.read_waivers(view)
    return shown("waivers.html", view, title="Waivers", found=found, most=rules.MOST_EXCUSED)
