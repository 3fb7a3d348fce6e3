"""Which direct requirements nothing in a project seems to use. In doubt a package counts as used."""

from __future__ import annotations

from itertools import chain

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from builder.distributions import is_well_known
from builder.imports import find_imports, read_sources
from builder.project import Project


class Uses:
    """What the project's scripts and notebooks import, and what its spec runs."""

    def __init__(self, project: Project) -> None:
        sources, unread = read_sources(project.root)
        imports = find_imports(sources, project.root)
        self._told = bool(sources) and not unread
        self._names = {_name(one) for one in chain(imports.known, imports.unknown)}
        self._unknown = bool(imports.unknown)
        spec = project.spec
        commands = (spec.command or (), spec.entrypoint or (), *spec.smoke, *(step.run for step in spec.steps))
        self._words = " ".join(chain.from_iterable(commands)).lower().replace("_", "-")

    def is_unused(self, name: str) -> bool:
        """Whether it can be told that nothing imports or runs the package `name`.

        What a package is imported as is known for well-known ones; any other may hide behind an import that
        is not known either.
        """
        if not self._told or name in self._names or name in self._words:
            return False
        return is_well_known(name) or not self._unknown


def _name(text: str) -> str:
    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return canonicalize_name(text)
