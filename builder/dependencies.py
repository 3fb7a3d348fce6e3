"""Why each package is there: the dependency graph of a lock, and the way from a requirement to a package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from builder.errors import BuilderError
from builder.metadata import WheelMetadata
from builder.target import Target

# Old packages write version specifiers that PEP 440 does not allow. The version is uv's to judge; where it
# cannot be read, the name, the extras and the marker are what counts.
_REQUIRES: Final = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?[^;]*(?P<marker>;.*)?", re.S
)

Node = tuple[str, str]
"""A package and one of its extras; the empty extra is the package itself."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Both by package name. A chain leads from a requirement to the package, both included."""

    depends_on: Mapping[str, tuple[str, ...]]
    chains: Mapping[str, tuple[str, ...]]


def trace(asked: Iterable[Requirement], metadata: Mapping[str, WheelMetadata], target: Target) -> Dependencies:
    """Follow the requirements of `asked` through the locked packages, markers and extras as `target` has them.

    Chains are shortest; among equals the one whose names sort first. Raises BuilderError when a package
    states a requirement that is not one.
    """
    environment = cast("dict[str, str]", dict(target.markers))
    chains: dict[str, tuple[str, ...]] = {}
    depends_on: dict[str, set[str]] = {name: set() for name in metadata}
    level: dict[Node, tuple[str, ...]] = {}
    for requirement in asked:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            for node in nodes(requirement):
                level[node] = (node[0],)
    seen: set[Node] = set()
    while level:
        following: dict[Node, tuple[str, ...]] = {}
        for node, chain in sorted(level.items(), key=lambda item: (item[1], item[0])):
            name, extra = node
            if node in seen or name not in metadata:
                continue
            seen.add(node)
            chains.setdefault(name, chain)
            for requirement in required(name, extra, metadata[name], environment):
                for found in nodes(requirement):
                    if found[0] != name and found[0] in metadata:
                        depends_on[name].add(found[0])
                    step = chain if found[0] == name else (*chain, found[0])
                    following.setdefault(found, step)
        level = {node: chain for node, chain in following.items() if node not in seen}
    return Dependencies({name: tuple(sorted(found)) for name, found in depends_on.items()}, chains)


def nodes(requirement: Requirement) -> list[Node]:
    """The package that a requirement names, and the extras of it."""
    name = canonicalize_name(requirement.name)
    return [(name, ""), *((name, canonicalize_name(extra)) for extra in sorted(requirement.extras))]


def required(name: str, extra: str, metadata: WheelMetadata, environment: dict[str, str]) -> list[Requirement]:
    """What a package asks for, with one of its extras or without (`""`), in an environment of markers."""
    found = []
    for line in metadata.requires:
        requirement = _requirement(name, line)
        if requirement.marker is None or requirement.marker.evaluate(environment | {"extra": extra}):
            found.append(requirement)
    return found


def _requirement(name: str, line: str) -> Requirement:
    with suppress(InvalidRequirement):
        return Requirement(line)
    match = _REQUIRES.fullmatch(line)
    text = f"{match['name']}{match['extras'] or ''} {match['marker'] or ''}" if match else line
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise BuilderError(
            f"{name} requires {line!r}, which is not a requirement", remedy=f"Use another version of {name}."
        ) from error
