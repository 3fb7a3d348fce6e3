"""Which line of a project brought a finding: the requirement, the lock's entry, the key in the spec, the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.lockfile import LOCK_NAME
from builder.repository import path_in_repository
from builder.requirement_files import read_inputs
from builder.spec import Spec
from compliance.document import Document, KeyPath, read_document
from compliance.inventory import Origin
from compliance.policy.decision import RuleOutcome, Violation
from compliance.policy.reports import Place, PlacesOf, within

_APP: Final = "app/"
"""Where an image has the project's own files; paths in findings begin with it."""

_SPEC_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "base-approved": ("base",),
    "base-age": ("base",),
    "non-root": ("user",),
    "entrypoint": ("entrypoint", "command"),
    "exposed-ports": ("ports",),
    "environment": ("env",),
    "required-labels": ("labels",),
    "network": ("steps",),
    "run-steps": ("steps",),
}
"""The keys of the spec, the likeliest first, by which a check's findings are mended."""

_LOCK_NAME_LINE: Final = re.compile(r'\s*name\s*=\s*"(?P<name>[^"]+)"')
_LINE_AT_END: Final = re.compile(r":(?P<line>[0-9]+)$")


def places_in_repository(spec_path: Path, spec: Spec) -> PlacesOf:
    """The places of violations in a project, as paths from the root of its repository.

    A project in no checkout and not below the working directory is its own root.
    """
    directory = path_in_repository(spec_path.parent)
    return within(ProjectPlaces(spec_path, spec), "" if directory.startswith("/") else directory)


@dataclass(frozen=True)
class ProjectPlaces:
    """Finds the places of violations in the project whose spec is at `spec_path`. Call it as a `PlacesOf`."""

    spec_path: Path
    spec: Spec

    def __call__(self, outcome: RuleOutcome, violation: Violation | None) -> tuple[Place, ...]:
        """The places, the one to edit first; at least the spec itself."""
        found = dict.fromkeys(self._places(outcome, violation))
        return tuple(found) or (self._in_spec(()),)

    def _places(self, outcome: RuleOutcome, violation: Violation | None) -> Iterator[Place]:
        if violation is None:
            return
        if violation.culprit.startswith("pkg:"):
            yield from self._of_package(violation)
        elif violation.origin is Origin.APP and violation.key.lstrip("/").startswith(_APP):
            yield from self._of_file(violation)
        key = next((key for key in _SPEC_KEYS.get(outcome.check, ()) if (key,) in self._spec_document.lines), None)
        if key is not None or violation.origin is Origin.BASE:
            yield self._in_spec((key or "base",))

    def _of_package(self, violation: Violation) -> Iterator[Place]:
        """The requirement at the head of the chain, then the package's own entry in the lock."""
        try:
            purl = PackageURL.from_string(violation.culprit)
        except ValueError:
            return  # what an image says of itself need not be a purl
        if purl.type != "pypi":
            return
        name = canonicalize_name(purl.name)
        yield from self._requirements.get(canonicalize_name(violation.chain[0]) if violation.chain else name, ())
        if name in self._locked:
            yield Place(LOCK_NAME, self._locked[name])

    def _of_file(self, violation: Violation) -> Iterator[Place]:
        path = violation.key.lstrip("/").removeprefix(_APP)
        if (self.spec_path.parent / path).is_file():
            line = _LINE_AT_END.search(violation.culprit)
            yield Place(path, int(line["line"]) if line else None)

    def _in_spec(self, key: KeyPath) -> Place:
        return Place(self.spec_path.name, self._spec_document.where(key).line)

    @cached_property
    def _spec_document(self) -> Document:
        return read_document(self.spec_path)

    @cached_property
    def _requirements(self) -> dict[str, tuple[Place, ...]]:
        """Where each requirement stands, by normalised name."""
        found: dict[str, tuple[Place, ...]] = {}
        for asked in read_inputs(self.spec, self.spec_path).asked:
            if asked.at.line is not None:
                place = Place(self._relative(asked.at.path), asked.at.line)
                found[asked.name] = (*found.get(asked.name, ()), place)
        for index, text in enumerate(self.spec.dependencies or ()):
            name = canonicalize_name(Requirement(text).name)
            found[name] = (*found.get(name, ()), self._in_spec(("dependencies", index)))
        return found

    @cached_property
    def _locked(self) -> dict[str, int]:
        """The line of each package's name in the lock."""
        path = self.spec_path.parent / LOCK_NAME
        if not path.is_file():
            return {}
        lines = path.read_text(encoding="utf-8").splitlines()
        named = ((_LOCK_NAME_LINE.match(line), number) for number, line in enumerate(lines, 1))
        return {canonicalize_name(match["name"]): number for match, number in reversed([*named]) if match}

    def _relative(self, path: Path) -> str:
        root = self.spec_path.parent.resolve()
        resolved = path.resolve()
        return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else resolved.name
