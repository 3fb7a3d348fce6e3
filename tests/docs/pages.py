"""Every page with shell blocks: what is there when its reader begins, and what cannot run in a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Start:
    """What a page's reader has at the beginning, besides an empty directory and the programs."""

    copied: tuple[str, ...] = ()
    """Files and directories of this repository, put into the directory under their last name."""
    gate: bool = False
    """A gate with the shipped policies, which the page calls gate.example.com (`$GATE`); `ci` is logged in."""
    registry: bool = False
    """An empty registry, which the page calls registry.example.com (`$REGISTRY`)."""
    docker: bool = False
    """A Docker daemon."""
    addresses: tuple[str, ...] = ()
    """Addresses that the page listens on, such as 127.0.0.1:5000. Each becomes one with a port that is free."""
    directories: tuple[str, ...] = ()
    """Directories that the page names from the root, such as /var/lib/mlgate. Each becomes one of the test's."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """A shell block that no page's test runs."""

    block: str
    """Its first line."""
    why: str
    covered_by: str
    """FILE::TEST that runs what it is about."""


PAGES: Final[Mapping[str, Start]] = {
    "docs/notifications.md": Start(
        addresses=("gate.example.com:5000", "127.0.0.1:8000"), directories=("/var/lib/mlgate",)
    ),
    "docs/security-engineer.md": Start(
        copied=("policies", "examples/iris-serving", "examples/legacy-notebook"),
        registry=True,
        addresses=("gate.example.com",),
    ),
}
"""The pages that are read by a test, by their place in the repository."""

NOT_RUN: Final[Mapping[str, tuple[NotRun, ...]]] = {}
"""What is left out, by page."""


def site() -> tuple[str, ...]:
    """README and every page of the site, by its place in the repository."""
    return ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
