"""What images are judged by, read again when it changes: policies, bases, trusted keys and databases.

What cannot be read never replaces what could: the last good state stays in force in this process, and
`Rulebook.problems` tells of it until the files are mended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from compliance.attest.keys import TrustedKeys
from compliance.bases import BaseDefinition, read_bases
from compliance.errors import InvalidInput, Unavailable
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.scan.advisories import Advisory, read_advisories
from compliance.scan.database import TrivyDatabase, find_databases
from compliance.scan.sightings import Memory
from compliance.scan.trivy import Trivy

ADVISORIES: Final = "advisories"

T = TypeVar("T")

log = logging.getLogger(__name__)


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
    sightings: Memory

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
            *(
                f"base {base.name} {base.architecture} {base.digest} {base.base.owner} {base.base.end_of_life}"
                for base in self.bases
            ),
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
        sightings: Memory,
        trivy: Path | None,
        now: Callable[[], datetime],
        trivy_database: str | None = None,
    ) -> None:
        self._policies = _Kept("policies", policies, load_policies)
        self._bases = _Kept("bases", bases, read_bases)
        self._keys = _Kept("trusted keys", keys, TrustedKeys.load)
        self._advisories = _Kept[Sequence[Advisory]]("advisories", policies / ADVISORIES, read_advisories)
        self._sightings = sightings
        self._cache = cache
        self._binary = trivy
        self._repository = trivy_database
        self._trivy: Trivy | None = None
        self._found: Scanner | None = None
        self._now = now

    def check(self) -> None:
        """Raise InvalidInput when policies, bases, keys or advisories cannot be read, and never could be."""
        for kept in self._all():
            kept.get()

    def problems(self) -> tuple[str, ...]:
        """What cannot be read as it is now, with file and line, so that its last good state is in force.

        Each is in the log whenever somebody asks.
        """
        self.check()
        found = tuple(kept.problem for kept in self._all() if kept.problem is not None)
        for problem in found:
            log.warning("%s", problem)
        return found

    def policies(self) -> PolicySet:
        """The policies in force. Raises InvalidInput when there have never been any that can be accepted."""
        return self._policies.get()

    def bases(self) -> tuple[BaseDefinition, ...]:
        """The bases in force. Raises InvalidInput as `policies` does."""
        return self._bases.get()

    def current(self) -> Rules:
        """The rules in force. Raises InvalidInput as `check` does."""
        return Rules(self._policies.get(), self._bases.get(), self._keys.get(), self._scanner(), self._sightings)

    def _all(self) -> tuple[_Kept[Any], ...]:
        return self._policies, self._bases, self._keys, self._advisories

    def _scanner(self) -> Scanner | Unavailable:
        self._advisories.get()
        if self._advisories.problem is not None and self._found is not None:
            return self._found
        try:
            trivy = self._trivy or Trivy.find(self._cache / "trivy", self._binary)
            version = trivy.version()
            advisories = self._advisories.directory
            databases, notes = find_databases(
                trivy, self._cache / "databases", advisories, now=self._now(), repository=self._repository
            )
        except InvalidInput as error:
            # The files changed since they were looked at, or were broken before there was any scanner.
            return self._found or Unavailable(error.message)
        except Unavailable as error:
            return error
        self._trivy = trivy
        self._found = Scanner(trivy, version, databases, notes)
        return self._found


class _Kept(Generic[T]):
    """What was last read from a directory without an error. `problem` is why it is not what is there now."""

    def __init__(self, what: str, directory: Path, read: Callable[[Path], T]) -> None:
        self.directory = directory
        self.problem: str | None = None
        self._what = what
        self._read = read
        self._lock = threading.Lock()
        self._tried: Hashable = None
        self._found: tuple[T] | None = None

    def get(self) -> T:
        """Raises InvalidInput when nothing could be read since the start."""
        with self._lock:
            try:
                state = tuple(_state(self.directory))
                if self._found is None or self._tried != state:
                    self._tried = state
                    self._read_again(state)
            except (InvalidInput, OSError) as error:
                self._keep_the_last(error)
            assert self._found is not None  # noqa: S101 - else the error was raised
            return self._found[0]

    def _read_again(self, state: Hashable) -> None:
        found = self._read(self.directory)
        if tuple(_state(self.directory)) != state and self._found is not None:
            self._tried = None  # somebody is still writing: half of a change is no rule
            return
        self._found = (found,)
        if self.problem is not None:
            log.warning("%s in %s can be read again, and are in force", self._what, self.directory)
        self.problem = None

    def _keep_the_last(self, error: InvalidInput | OSError) -> None:
        problem = str(error) if isinstance(error, InvalidInput) else f"{error.filename}: {error.strerror}"
        if self._found is None:
            raise error if isinstance(error, InvalidInput) else InvalidInput(problem)
        self.problem = f"{self._what}: {problem}; what was read before stays in force"
        log.error("%s", self.problem)


def _state(directory: Path) -> Iterator[tuple[str, int, int, int]]:
    yield str(directory), int(directory.is_dir()), 0, 0
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            status = path.stat()
            yield str(path), status.st_mtime_ns, status.st_size, status.st_ino
