"""Which of the packages that a project needs come without a wheel, when resolving with wheels alone has failed.

uv is asked about single packages, with wheels only, from the requirements downwards: what has no answer then
has no wheel. No code of a package is run for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.dependencies import Node, nodes, required
from builder.metadata import WheelMetadata
from builder.requirements import canonical
from builder.uv import NoSolution, Question, ResolvedWheel, Uv

ReadMetadata = Callable[[Sequence[ResolvedWheel]], dict[str, WheelMetadata]]


@dataclass
class Search:
    """Walks down the requirements. `metadata` holds what is known of packages, by name; it grows.

    `options` are the index options of the project's files.
    """

    uv: Uv
    question: Question
    read: ReadMetadata
    metadata: dict[str, WheelMetadata]
    options: tuple[str, ...] = ()
    _lines: dict[str, set[str]] = field(default_factory=dict)
    _seen: set[Node] = field(default_factory=set)

    def sources(self, asked: Iterable[Requirement], limits: Iterable[Requirement]) -> tuple[ResolvedWheel, ...]:
        """The source distributions that there is no wheel for, sorted by name.

        `asked` are the project's requirements, `limits` its constraints.
        """
        for limit in limits:
            self._lines.setdefault(canonicalize_name(limit.name), set()).add(canonical(limit))
        missing: set[str] = set()
        environment = cast("dict[str, str]", dict(self.question.target.markers))
        level = [one for one in asked if one.marker is None or one.marker.evaluate(environment)]
        while level:
            for requirement in level:
                self._lines.setdefault(canonicalize_name(requirement.name), set()).add(_bare(requirement))
            names = sorted({canonicalize_name(one.name) for one in level} - self.metadata.keys() - missing)
            found, without = self._with_wheels(names)
            self.metadata |= self.read(found)
            missing |= set(without)
            level = [further for one in level for further in self._below(one, environment)]
        sources = (self._source(name) for name in sorted(missing))
        return tuple(source for source in sources if source is not None)

    def _below(self, requirement: Requirement, environment: dict[str, str]) -> Iterable[Requirement]:
        for name, extra in nodes(requirement):
            if (name, extra) not in self._seen and name in self.metadata:
                self._seen.add((name, extra))
                yield from required(name, extra, self.metadata[name], environment)

    def _with_wheels(self, names: Sequence[str]) -> tuple[list[ResolvedWheel], list[str]]:
        """A wheel of each of these packages, and the names of those that have none."""
        if not names:
            return [], []
        try:
            return list(self.uv.resolve(self._about(names))), []
        except NoSolution:
            if len(names) == 1:
                return [], list(names)
        half = len(names) // 2
        first, second = self._with_wheels(names[:half]), self._with_wheels(names[half:])
        return first[0] + second[0], first[1] + second[1]

    def _source(self, name: str) -> ResolvedWheel | None:
        try:
            (found,) = self.uv.resolve(replace(self._about([name]), from_source=(name,)))
        except NoSolution:
            return None
        return found

    def _about(self, names: Sequence[str]) -> Question:
        """What is asked about these packages alone, without what they depend on."""
        lines = tuple(line for name in names for line in sorted(self._lines[name]))
        return replace(
            self.question,
            files=(),
            dependencies=(*self.options, *lines),
            limits=(),
            bare=True,
        )


def _bare(requirement: Requirement) -> str:
    """The requirement without its marker, which has been looked at."""
    return canonical(requirement).partition(" ; ")[0]
