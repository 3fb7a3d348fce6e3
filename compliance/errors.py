"""The errors of the compliance package: what happened, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Location:
    """A place in an input file. `line` counts from 1; None means the file as a whole."""

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


class ComplianceError(Exception):
    """Root of all expected failures. `remedy` is the next step for the person who reads the message."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InvalidInput(ComplianceError):
    """A file or argument the user wrote cannot be accepted as it stands."""

    def __init__(self, message: str, *, at: Location | None = None, remedy: str | None = None) -> None:
        super().__init__(message if at is None else f"{at}: {message}", remedy=remedy)
        self.at = at


class Unavailable(ComplianceError):
    """A tool, database, registry or network that a decision needs cannot be used, so nothing is decided."""
