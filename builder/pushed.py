"""A small record of what was pushed where, so that a registry can be asked to mount it elsewhere."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from builder.cache import Cache
from compliance.oci.digest import Digest
from compliance.oci.reference import Reference

_KEPT: Final = 16
_KIND: Final = "pushed"


class _Places(BaseModel):
    """Where a blob went: `registry/repository`, the latest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: tuple[str, ...]


class PushedBlobs:
    """What this cache's builds have pushed. It may be wrong: a registry that lost a blob takes it anew."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def source(self, target: Reference, blob: Digest) -> str | None:
        """Another repository of the target's registry that got the blob, the latest; None where none did."""
        within = f"{target.registry}/"
        known = [place.removeprefix(within) for place in self._places(blob) if place.startswith(within)]
        return next((repository for repository in known if repository != target.repository), None)

    def note(self, target: Reference, blob: Digest) -> None:
        """Remember that the target's repository has the blob."""
        place = f"{target.registry}/{target.repository}"
        before = self._places(blob)
        if before[:1] != (place,):
            others = tuple(other for other in before if other != place)
            self._cache.remember(_KIND, blob.hex, _Places(places=(place, *others)[:_KEPT]))

    def _places(self, blob: Digest) -> tuple[str, ...]:
        known = self._cache.recall(_KIND, blob.hex, _Places)
        return known.places if known is not None else ()
