"""The tools a command works with besides the project itself, each made when it is first used."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from builder.cache import Cache
from builder.progress import Progress
from builder.settings import Settings
from compliance.attest.keys import TrustedKeys
from compliance.bases import BaseDefinition, find_base, read_bases, read_named
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.scan.database import TrivyDatabase, find_databases
from compliance.scan.sightings import Sightings
from compliance.scan.trivy import Trivy

ARCHITECTURE: Final = "amd64"
"""What images are built for where nothing else is said."""


class Workshop:
    """Settings turned into tools. `at` is the time as of which this run judges: `now`, unless told otherwise."""

    def __init__(
        self, settings: Settings, progress: Progress, *, now: datetime, at: datetime | None = None
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.now = now
        self.at = now if at is None else at
        self._bases: dict[str, tuple[BaseDefinition, ...]] = {}

    def signing_with(self, key: Path) -> Workshop:
        """The same, but for a key of its own, trusted by nobody: for images that are built to be compared."""
        settings = self.settings.model_copy(update={"key": key, "trusted_keys": key.parent / "trusted-keys"})
        return Workshop(settings, self.progress, now=self.now, at=self.at)

    @cached_property
    def cache(self) -> Cache:
        return Cache(self.settings.cache)

    @cached_property
    def policies(self) -> PolicySet:
        return load_policies(self.settings.policies)

    @cached_property
    def bases(self) -> tuple[BaseDefinition, ...]:
        return read_bases(self.settings.bases)

    def base(self, name: str, architecture: str = ARCHITECTURE) -> BaseDefinition:
        """The curated base called `name`. Raises InvalidInput, with the nearest name, when there is none."""
        if name not in self._bases:
            self._bases[name] = read_named(self.settings.bases, name)
        return find_base(self._bases[name], name, architecture)

    @cached_property
    def trivy(self) -> Trivy:
        return Trivy.find(self.cache.directory("trivy"), self.settings.trivy)

    @cached_property
    def databases(self) -> tuple[tuple[TrivyDatabase, ...], tuple[str, ...]]:
        """The vulnerability databases that can be used, and notes on those that cannot."""
        advisories = self.settings.policies / "advisories"
        return find_databases(
            self.trivy,
            self.cache.directory("databases"),
            advisories,
            now=self.now,
            repository=self.settings.database,
        )

    @cached_property
    def sightings(self) -> Sightings:
        return Sightings(self.settings.cache / "sightings.sqlite")

    @cached_property
    def trusted_keys(self) -> TrustedKeys:
        return TrustedKeys.load(self.settings.trusted_keys)
