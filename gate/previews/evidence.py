"""The evidence that somebody may review, a line an image."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from gate.identity.permissions import Action, Identity
from gate.published import Place, Published

PAGE: Final = 500
AT_ONCE: Final = 20
"""How many images are held in memory."""


class Reviewable:
    """Of the images that can be pulled, those of repositories that a reader may review."""

    def __init__(self, published: Published, reader: Identity) -> None:
        self._published = published
        self._reader = reader
        self._allowed: Sequence[str] = ()

    async def count(self) -> int:
        """How many there are now."""
        known = await asyncio.to_thread(self._published.repositories)
        self._allowed = [name for name in known if self._reader.may(Action.REVIEW, name)]
        return await asyncio.to_thread(self._published.count, self._allowed)

    async def lines(self) -> AsyncIterator[bytes]:
        """Each with its place, the newest decision and what that was taken on."""
        last: Place | None = None
        while True:
            places = await asyncio.to_thread(self._published.places, self._allowed, last, PAGE)
            for start in range(0, len(places), AT_ONCE):
                for line in await asyncio.to_thread(self._read, places[start : start + AT_ONCE]):
                    yield line
            if len(places) < PAGE:
                return
            last = places[-1]

    def _read(self, places: Sequence[Place]) -> list[bytes]:
        return [line for place in places if (line := self._line(place)) is not None]

    def _line(self, place: Place) -> bytes | None:
        found = self._published.decision(place)
        if found is None:
            return None
        named = json.dumps({"repository": place.repository, "digest": str(place.digest)}).encode()
        return b'%s,"decision":%s,"evidence":%s}\n' % (named[:-1], found.decision, found.evidence)
