"""What a project asks for: each requirement with the place where it is written, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from builder.foreign_locks import ForeignLock
from builder.indexes import without_credentials
from compliance.errors import Location


@dataclass(frozen=True, slots=True)
class Asked:
    """One requirement the user wrote, and where. `text` is its canonical form, without credentials.

    `hashes` are the sha256 of the files that it allows; none where it allows all.
    """

    requirement: Requirement
    at: Location
    hashes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def text(self) -> str:
        return canonical(self.requirement)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a project asks for. `options` are the index options of its files, without credentials.

    uv reads `files` itself and is told `lines`, requirements and options as written; it follows `locks`.
    `pythons` are the versions of Python that are wanted. `read` is every requirement file that was read, those
    that others name too.
    """

    asked: tuple[Asked, ...]
    constraints: tuple[Asked, ...] = ()
    options: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()
    locks: tuple[ForeignLock, ...] = ()
    pythons: tuple[tuple[SpecifierSet, Location], ...] = ()
    read: tuple[Path, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """The canonical requirements, sorted, each once: what the lock records."""
        return tuple(sorted({asked.text for asked in self.asked}))

    @property
    def locked(self) -> tuple[str, ...]:
        """The locks to follow, as they are now: name and digest."""
        return tuple(sorted(f"{lock.path.name} {lock.digest}" for lock in self.locks))

    @property
    def limits(self) -> tuple[str, ...]:
        """The canonical constraints, sorted, each once."""
        return tuple(sorted({asked.text for asked in self.constraints}))


def canonical(requirement: Requirement) -> str:
    """One spelling for each requirement: normalised name, sorted extras, no credentials in its URL."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    text = canonicalize_name(requirement.name) + extras
    if requirement.url:
        text += f" @ {without_credentials(requirement.url)}"
    else:
        text += ",".join(sorted(str(specifier) for specifier in requirement.specifier))
    return text + (f" ; {requirement.marker}" if requirement.marker else "")
