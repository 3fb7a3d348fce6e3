"""A change that is being considered, and the texts of the project's files with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from builder.fix.draft import Draft
from builder.fix.requirement_texts import (
    Bound,
    bounded,
    pinned_version,
    with_item_after,
    with_specifiers,
    without_requirement,
)
from builder.requirements import Asked
from compliance.errors import InvalidInput, Location

_BASE: Final = re.compile(r"^(base[ \t]*:[ \t]*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)", re.MULTILINE)
_REQUIREMENTS: Final = (".txt", ".in")

Specifiers = Callable[[Asked], str | None]
"""The specifiers that a requirement is to have, or None for those that it has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`bounds` by package; `dropped` are direct requirements that go; `base` is another base.

    With `loose`, what was pinned may move upwards too where it must.
    """

    bounds: Mapping[str, Bound] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    base: str | None = None
    loose: bool = False

    def with_bound(self, name: str, bound: Bound) -> Plan:
        return replace(self, bounds={**self.bounds, name: bound})

    def without_bound(self, name: str) -> Plan:
        return replace(self, bounds={one: bound for one, bound in self.bounds.items() if one != name})


@dataclass(frozen=True, slots=True)
class Roots:
    """By package: the direct requirement that brought it, and in a comment why it is bounded."""

    root_of: Mapping[str, str]
    comments: Mapping[str, str]


class Writer:
    """Writes plans into the texts of a project's files."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        inputs = draft.inputs
        followed = {lock.path for lock in inputs.locks}
        self._asked = tuple(one for one in (*inputs.asked, *inputs.constraints) if one.at.path not in followed)
        self.pins = {
            one.name: version for one in self._asked if (version := pinned_version(one.requirement)) is not None
        }
        self._named = {one.name for one in self._asked}

    def is_written(self, name: str) -> bool:
        """Whether a requirement or a constraint names the package."""
        return name in self._named

    def is_direct(self, name: str) -> bool:
        """Whether a requirement asks for the package that is ours to change."""
        inputs = self._draft.inputs
        return not inputs.locks and any(one.name == name for one in inputs.asked)

    def to_choose(self, plan: Plan, roots: Roots, exact: frozenset[str]) -> dict[Path, str]:
        """Texts that let the resolver choose: what `exact` names at its bound, all others at it or above."""

        def specifiers(asked: Asked) -> str | None:
            bound = plan.bounds.get(asked.name)
            pinned = pinned_version(asked.requirement) is not None
            if bound is None:
                return f">={self.pins[asked.name]}" if plan.loose and pinned else None
            if asked.name in exact:
                return f"=={bound.version}" if pinned else f"{bounded(asked.requirement, bound)},=={bound.version}"
            return bound.text if pinned else bounded(asked.requirement, bound)

        added = {
            name: f"=={bound.version}" if name in exact else bound.text for name, bound in plan.bounds.items()
        }
        return self._written(plan, roots, specifiers, added)

    def chosen(self, plan: Plan, roots: Roots, versions: Mapping[str, str]) -> dict[Path, str]:
        """Texts for good, once the versions are known: pins stay pins, ranges get a lower bound."""

        def specifiers(asked: Asked) -> str | None:
            version = versions.get(asked.name)
            if pinned_version(asked.requirement) is not None:
                changed = version is not None and version != self.pins[asked.name]
                return f"=={version}" if changed and (plan.loose or asked.name in plan.bounds) else None
            bound = plan.bounds.get(asked.name)
            return bounded(asked.requirement, bound) if bound is not None else None

        added = {name: bound.text for name, bound in plan.bounds.items()}
        return self._written(plan, roots, specifiers, added)

    def _written(
        self, plan: Plan, roots: Roots, specifiers: Specifiers, added: Mapping[str, str]
    ) -> dict[Path, str]:
        texts = self._draft.texts
        self._check_owned(plan.bounds)
        for asked in reversed(self._asked):  # from the end, so that lines keep their numbers
            if asked.name in plan.dropped:
                changed = without_requirement(texts[asked.at.path], asked.at.line, asked.requirement)
            else:
                wanted = specifiers(asked)
                if wanted is None or wanted == str(asked.requirement.specifier):
                    continue
                changed = with_specifiers(texts[asked.at.path], asked.at.line, asked.requirement, wanted)
            if changed is None:
                raise InvalidInput(
                    f"how {asked.name} is required there cannot be changed by itself",
                    at=asked.at,
                    remedy=f"Change the requirement of {asked.name} by hand.",
                )
            texts[asked.at.path] = changed
        further = {name: text for name, text in sorted(added.items()) if not self.is_written(name)}
        if further:
            self._add(texts, further, roots)
        if plan.base is not None:
            self._rebase(texts, plan.base)
        return texts

    def _check_owned(self, names: Iterable[str]) -> None:
        """Raise InvalidInput for what another tool's lock pins, or an address does."""
        for name in names:
            for lock in self._draft.inputs.locks:
                pin = next((one for one in lock.pins if canonicalize_name(one.name) == name), None)
                if pin is not None:
                    raise InvalidInput(
                        f"{lock.path.name} pins {name} {pin.version}",
                        at=pin.at,
                        remedy=f"Raise it there with the tool that writes {lock.path.name}; mlbuild follows it.",
                    )
            for asked in self._asked:
                if asked.name == name and asked.requirement.url is not None:
                    raise InvalidInput(f"{name} comes from an address", at=asked.at, remedy="Name another one.")

    def _add(self, texts: dict[Path, str], lines: Mapping[str, str], roots: Roots) -> None:
        """Bounds on packages that nobody wrote down: as constraints, or where there can be none in a list."""
        inputs = self._draft.inputs
        file = next((path for path in inputs.files if path.suffix in _REQUIREMENTS), None)
        if file is None:
            self._add_to_lists(texts, lines, roots)
            return
        there = next((one.at.path for one in inputs.constraints), None)
        target = there or _free(file.with_name("constraints.txt"))
        body = "".join(f"{name}{text}{roots.comments.get(name, '')}\n" for name, text in lines.items())
        texts[target] = _ended(texts.get(target, "")) + body
        if there is None:
            texts[file] = _ended(texts[file]) + f"-c {target.name}\n"

    def _add_to_lists(self, texts: dict[Path, str], lines: Mapping[str, str], roots: Roots) -> None:
        for name, text in lines.items():
            root = next((one for one in self._asked if one.name == roots.root_of.get(name)), None)
            path = root.at.path if root is not None else None
            changed = None
            if root is not None and path is not None:
                changed = with_item_after(texts[path], root.requirement.name, f"{name}{text}")
            if path is None or changed is None:
                raise InvalidInput(
                    f"there is no place to write {name}{text}",
                    at=Location(self._draft.project.spec_path),
                    remedy="Name a requirements.txt under `requirements` in the spec.",
                )
            texts[path] = changed

    def _rebase(self, texts: dict[Path, str], base: str) -> None:
        path = self._draft.project.spec_path
        texts[path] = _BASE.sub(lambda match: match[1] + base, texts[path], count=1)


def _free(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
