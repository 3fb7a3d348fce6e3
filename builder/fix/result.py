"""What a search for a fix comes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.fix.draft import Edit
from builder.fix.findings import Finding


@dataclass(frozen=True, slots=True)
class Moved:
    """A package with another version than before. `reasons` are rule and vulnerability; `note` is for people."""

    package: str
    before: str | None
    after: str | None
    reasons: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A package that no change was found for, and what stands in the way."""

    package: str
    version: str
    reasons: tuple[tuple[str, str], ...]
    why: str


@dataclass(frozen=True, slots=True)
class Fix:
    """What was found. `remaining` is what people have to mend; `complies` is about packages and base alone."""

    edits: tuple[Edit, ...]
    moved: tuple[Moved, ...]
    blocked: tuple[Blocked, ...]
    remaining: tuple[Finding, ...]
    complies: bool
    root: Path
    bases: tuple[str, str]
