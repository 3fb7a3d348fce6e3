"""The evidence of everything that was admitted, a line each, for `mlbuild policy impact --gate`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from gate.errors import Code, Fault
from gate.identity.permissions import Action
from gate.published import Place
from gate.service import Service, TheReader, TheService, digest_from

router = APIRouter()

MOST: Final = 1000


@router.get(
    "/api/evidence",
    summary="All evidence that verdicts rest on, a line each",
    tags=["decisions"],
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
async def list_evidence(
    reader: TheReader,
    service: TheService,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    repository: Annotated[str, Query(max_length=255)] = "",
    digest: Annotated[str, Query(max_length=140)] = "",
) -> Response:
    """The newest decision on every image that can be pulled, and the evidence it was taken on, as NDJSON.

    Of the repositories that the reader may review; a page at a time, in the order of repository and digest, the
    next being in the `Link` header. `repository` and `digest` are the last ones of the page before. Who may review
    nothing is denied, so that an empty answer means that there is no image.
    """
    if not reader.patterns(Action.REVIEW):
        raise Fault(403, Code.DENIED, f"{reader.name} may review nothing here")
    after = Place(repository, digest_from(digest)) if repository and digest else None
    known = await asyncio.to_thread(service.store.published.repositories)
    allowed = [name for name in known if reader.may(Action.REVIEW, name)]
    places = await asyncio.to_thread(service.store.published.places, allowed, after, limit + 1)
    headers = {}
    if len(places) > limit:
        last = places[limit - 1]
        query = urlencode({"limit": limit, "repository": last.repository, "digest": last.digest})
        headers["Link"] = f'</api/evidence?{query}>; rel="next"'
    return StreamingResponse(_lines(service, places[:limit]), 200, headers, "application/x-ndjson")


async def _lines(service: Service, places: Sequence[Place]) -> AsyncIterator[bytes]:
    for place in places:
        found = await asyncio.to_thread(service.store.published.decision, place)
        if found is not None:
            yield b'{"decision":%s,"evidence":%s}\n' % (found.decision, found.evidence)
