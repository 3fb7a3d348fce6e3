"""How far the lock of a base is behind the archives: asked of apt, with the lock left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from debian.debian_support import Version

from builder.bases.resolve import ResolvedDeb, resolve
from builder.progress import Progress
from compliance.bases import BaseDefinition
from compliance.errors import ComplianceError, InvalidInput
from compliance.evidence import Absent

_AT_ONCE: Final = 4  # apt mostly waits for the archives, and unpacks their indexes in between


@dataclass(frozen=True, slots=True)
class Update:
    """One package that locking again would change.

    `locked` is None for a package that would be new, `available` and `archive` are None for one that would
    go. `security` says that a security suite offers more than what is locked, whichever archive has the
    version that would be taken: a point release may have overtaken the security update by then.
    """

    name: str
    locked: str | None
    available: str | None
    archive: str | None
    security: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A base for one architecture, what is pending for it, and the whole days left to it."""

    base: BaseDefinition
    updates: tuple[Update, ...] | Absent
    days_left: int

    @property
    def security(self) -> tuple[Update, ...]:
        return () if isinstance(self.updates, Absent) else tuple(one for one in self.updates if one.security)


def standings(bases: Sequence[BaseDefinition], progress: Progress, *, now: datetime) -> tuple[Standing, ...]:
    """How each of `bases` stands with what its archives offer at this moment, in the order given.

    Where the archives of one cannot be asked, its updates are Absent with the reason. Needs apt, not root.
    """

    def standing(base: BaseDefinition) -> Standing:
        progress.step(f"Ask the archives of {base.name} for {base.architecture}")
        return Standing(base, _updates(base), (base.end_of_life - now).days)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return tuple(pool.map(standing, bases))


def _updates(base: BaseDefinition) -> tuple[Update, ...] | Absent:
    try:
        return compare(base, resolve(base.recipe, base.architecture))
    except InvalidInput:
        raise
    except ComplianceError as error:
        return Absent(error.message)


def compare(base: BaseDefinition, offered: Sequence[ResolvedDeb]) -> tuple[Update, ...]:
    """What differs between the lock and `offered`, sorted by package."""
    locked = {package.name: package for package in base.image.packages}
    current = {package.name: package for package in offered}
    found = []
    for name in sorted(locked.keys() | current.keys()):
        before, after = locked.get(name), current.get(name)
        if before is not None and after is not None and before.sha256 == after.sha256:
            continue
        secured = after.security if after is not None else None
        found.append(
            Update(
                name=name,
                locked=before.version if before is not None else None,
                available=after.version if after is not None else None,
                archive=after.archive if after is not None else None,
                security=before is not None and secured is not None and Version(secured) > Version(before.version),
            )
        )
    return tuple(found)
