"""What images are judged by, read again when it changes: policies, bases, trusted keys and databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Generic, TypeVar

from compliance.attest.keys import TrustedKeys
from compliance.bases import BaseDefinition, read_bases
from compliance.errors import Unavailable
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.scan.database import TrivyDatabase, find_databases
from compliance.scan.sightings import Sightings
from compliance.scan.trivy import Trivy

ADVISORIES: Final = "advisories"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scanner:
    """Trivy with the databases it can use. `notes` say which could not be, and why."""

    trivy: Trivy
    version: str
    databases: tuple[TrivyDatabase, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a verdict depends on besides the image, its evidence and the time, as it was at one moment."""

    policies: PolicySet
    bases: tuple[BaseDefinition, ...]
    keys: TrustedKeys
    scanner: Scanner | Unavailable
    sightings: Sightings

    @property
    def inputs(self) -> tuple[str, ...]:
        """What tells two states of the rules apart, in order."""
        scanner = self.scanner
        found = (
            (f"no scanner: {scanner.message}",)
            if isinstance(scanner, Unavailable)
            else (
                f"trivy {scanner.version}",
                *(f"{each.name} {each.description.digest}" for each in scanner.databases),
            )
        )
        return (
            f"policies {self.policies.digest}",
            *(f"base {base.name} {base.architecture} {base.digest}" for base in self.bases),
            *(f"key {hint}" for hint in sorted(self.keys.by_hint)),
            *found,
        )


class Rulebook:
    """Reads the rules from their directories. May be used from several threads."""

    def __init__(
        self,
        *,
        policies: Path,
        bases: Path,
        keys: Path,
        cache: Path,
        sightings: Path,
        trivy: Path | None,
        now: Callable[[], datetime],
    ) -> None:
        self._policies = _Kept(policies, load_policies)
        self._bases = _Kept(bases, read_bases)
        self._keys = _Kept(keys, TrustedKeys.load)
        self._advisories = policies / ADVISORIES
        self._sightings = Sightings(sightings)
        self._cache = cache
        self._binary = trivy
        self._trivy: Trivy | None = None
        self._now = now

    def check(self) -> None:
        """Raise InvalidInput when policies, bases or keys cannot be read as they are now."""
        self._policies.get()
        self._bases.get()
        self._keys.get()

    def policies(self) -> PolicySet:
        """The policies in force. Raises InvalidInput when a file among them cannot be accepted."""
        return self._policies.get()

    def current(self) -> Rules:
        """The rules in force. Raises InvalidInput when a file among them cannot be accepted."""
        return Rules(self._policies.get(), self._bases.get(), self._keys.get(), self._scanner(), self._sightings)

    def _scanner(self) -> Scanner | Unavailable:
        try:
            trivy = self._trivy or Trivy.find(self._cache / "trivy", self._binary)
            version = trivy.version()
            databases, notes = find_databases(trivy, self._cache / "databases", self._advisories, now=self._now())
        except Unavailable as error:
            return error
        self._trivy = trivy
        return Scanner(trivy, version, databases, notes)


class _Kept(Generic[T]):
    """What was read from a directory, until a file in it changes."""

    def __init__(self, directory: Path, read: Callable[[Path], T]) -> None:
        self._directory = directory
        self._read = read
        self._lock = threading.Lock()
        self._found: tuple[Hashable, T] | None = None

    def get(self) -> T:
        with self._lock:
            state = tuple(_state(self._directory))
            if self._found is None or self._found[0] != state:
                self._found = (state, self._read(self._directory))
            return self._found[1]


def _state(directory: Path) -> Iterator[tuple[str, int, int, int]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            status = path.stat()
            yield str(path), status.st_mtime_ns, status.st_size, status.st_ino
