"""Who reads, and what exists for them. What one may not see is not there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends

from gate.errors import Code, Fault
from gate.identity.permissions import EVERYWHERE, Action, Identity
from gate.schema import StoredDecision
from gate.service import Service, TheReader, TheService

_ID: Final = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class View:
    """All that the gate knows, as far as somebody may see it."""

    service: Service
    reader: Identity

    @property
    def is_whole(self) -> bool:
        """Whether every repository exists for the reader."""
        return any(
            {Action.PULL, Action.REVIEW} & permission.actions and set(EVERYWHERE) <= set(permission.repositories)
            for permission in self.reader.permissions
        )

    async def visible(self, repository: str | None = None) -> Collection[str] | None:
        """Of all repositories, or of this one, those that exist for the reader; None is all."""
        if repository is not None:
            return (repository,) if self.reader.sees(repository) else ()
        if self.is_whole:
            return None
        known = await asyncio.to_thread(self.service.store.catalogue.repositories)
        return tuple(filter(self.reader.sees, known))

    async def decision(self, id_: str) -> StoredDecision:
        """A decision by its id. Raises the 404 answer."""
        stored = await asyncio.to_thread(self.service.store.decision, id_) if _ID.fullmatch(id_) else None
        if stored is None or not self.reader.sees(stored.repository):
            raise Fault(404, Code.UNKNOWN, f"there is no decision {id_}")
        return stored


async def _view(service: TheService, reader: TheReader) -> View:
    return View(service, reader)


TheView = Annotated[View, Depends(_view)]
"""What exists for whoever proves to be somebody."""
