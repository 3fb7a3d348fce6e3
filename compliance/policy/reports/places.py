"""Where in a project's files a violation is mended: what lets a report point at a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compliance.policy.decision import RuleOutcome, Violation


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a project's file. `path` is relative to the project, `/` between parts; `line` counts from 1."""

    path: str
    line: int | None = None


PlacesOf = Callable[[RuleOutcome, Violation | None], tuple[Place, ...]]
"""The places of a violation, the one to edit first; of a rule as a whole where there is no violation."""


def nowhere(outcome: RuleOutcome, violation: Violation | None) -> tuple[Place, ...]:  # noqa: ARG001 - as PlacesOf
    """For decisions about what has no files at hand, such as an image in a registry."""
    return ()
