"""Where in a project's files a violation is mended: what lets a report point at a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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


def within(places: PlacesOf, directory: str) -> PlacesOf:
    """The same places, seen from a directory above: `directory` is the way down, `/` between parts, or empty."""
    if not directory:
        return places

    def below(outcome: RuleOutcome, violation: Violation | None) -> tuple[Place, ...]:
        return tuple(replace(place, path=f"{directory}/{place.path}") for place in places(outcome, violation))

    return below
