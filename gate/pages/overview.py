"""The first page: what may be pulled, what ends soon, what was refused, and how pushes went lately."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Final

from starlette.responses import Response

from compliance.policy.decision import Verdict
from gate.api.rules import first_to_end
from gate.api.view import View
from gate.catalogue import Availability
from gate.pages.route import ThePageView, page_router, shown
from gate.pages.trend import Day, days, draw
from gate.schema import Kind

router = page_router()

DAYS: Final = 30
SOON: Final = timedelta(days=30)
SHOWN: Final = 10


@router.api_route("/", methods=["GET", "HEAD"])
async def read_overview(view: ThePageView) -> Response:
    store, now = view.service.store, view.service.now()
    visible = await view.visible()
    counts, ending, refused, trend, waivers = await asyncio.gather(
        asyncio.to_thread(store.catalogue.counts, now, visible),
        asyncio.to_thread(store.overview.ending, visible, now, SHOWN),
        asyncio.to_thread(store.catalogue.taken, visible, verdict=Verdict.REFUSED, limit=SHOWN),
        _trend(view, now),
        first_to_end(view, SOON),
    )
    standings = {
        standing: sum(
            count
            for (kind, each), count in counts.items()
            if each is standing and kind in {Kind.IMAGE, Kind.ARTIFACT, Kind.INDEX}
        )
        for standing in Availability
        if standing is not Availability.ABSENT
    }
    return shown(
        "overview.html",
        view,
        title="Overview",
        standings=standings,
        ending=ending,
        refused=refused,
        trend=trend,
        drawing=draw(trend),
        waivers=waivers[:SHOWN],
        now=now,
    )


async def _trend(view: View, now: datetime) -> list[Day]:
    last = now.astimezone(UTC).date()
    since = datetime.combine(last - timedelta(days=DAYS - 1), time(), UTC)
    pushes = await asyncio.to_thread(view.service.store.overview.pushes, await view.visible(), since)
    return list(days(pushes, last, DAYS))
