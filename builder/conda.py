"""conda's environment.yml as input: its pip part, and the Python it wants. What conda would install is refused.

conda packages are not wheels: they are built by others, against libraries of their own. Which wheel one
would be is said where that is well known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import BaseModel, ConfigDict

from builder.conda_names import other_advice, wheel_of
from compliance.document import read_model
from compliance.errors import InvalidInput, Location

_SPEC: Final = re.compile(r"(?:[^\s:]+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)(?P<version>[\s=<>!~*0-9].*)?")
_FUZZY: Final = re.compile(r"=?\s*(?P<version>[0-9][0-9a-zA-Z.]*?)(?:\.\*|\*)?(?:=\S*)?")
_EXACT: Final = re.compile(r"==\s*(?P<version>[0-9][0-9a-zA-Z.]*)(?:=\S*)?")


class _Pip(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    pip: tuple[str, ...]


class _Environment(BaseModel):
    """What conda reads. `channels`, `name` and `prefix` mean nothing for wheels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    channels: tuple[str, ...] = ()
    dependencies: tuple[str | _Pip, ...]
    prefix: str | None = None
    variables: dict[str, str | int | float] | None = None


@dataclass(frozen=True, slots=True)
class CondaEnvironment:
    """The pip part, line by line with its place, and the Python version where one is named."""

    lines: tuple[tuple[str, Location], ...]
    python: tuple[SpecifierSet, Location] | None


def read_environment(path: Path) -> CondaEnvironment:
    """Read an environment.yml. Raises InvalidInput, with each line, when it asks for packages of conda."""
    environment, document = read_model(path, _Environment)
    if environment.variables:
        raise InvalidInput(
            "environment variables are the image's to set",
            at=document.where(("variables",)),
            remedy="Write them under `env` in mlbuild.yaml.",
        )
    lines: list[tuple[str, Location]] = []
    python: tuple[SpecifierSet, Location] | None = None
    refused: list[tuple[Location, str]] = []
    for index, item in enumerate(environment.dependencies):
        at = document.where(("dependencies", index))
        if isinstance(item, _Pip):
            place = ("dependencies", index, "pip")
            lines += [(line, document.where((*place, number))) for number, line in enumerate(item.pip)]
            continue
        match = _SPEC.fullmatch(item.strip())
        if match is None:
            raise InvalidInput(f"{item!r} is not a dependency as conda writes them", at=at)
        name, version = match["name"].lower(), (match["version"] or "").strip()
        if name == "python":
            python = (_versions(version, at), at)
        elif name != "pip":
            refused.append((at, f"{item} is for conda, and images are made of wheels: {_advice(name, version)}"))
    if refused:
        first, *rest = refused
        raise InvalidInput(
            "\n".join([first[1], *(f"{at}: {text}" for at, text in rest)]),
            at=first[0],
            remedy="Keep python and pip here, and move what else is needed to the pip part, as PyPI names it.",
        )
    return CondaEnvironment(tuple(lines), python)


def _advice(name: str, version: str) -> str:
    wheel = wheel_of(name)
    if wheel is None:
        return other_advice(name)
    try:
        return f"put `{wheel}{_specifiers(version)}` under pip"
    except InvalidSpecifier:
        return f"put `{wheel}` under pip"


def _versions(version: str, at: Location) -> SpecifierSet:
    try:
        return _specifiers(version)
    except InvalidSpecifier as error:
        raise InvalidInput(f"{version!r} is not a Python version", at=at, remedy="Write python=3.11.") from error


def _specifiers(version: str) -> SpecifierSet:
    """conda's `3.11`, `=3.11` and `==3.11.4=build` as PEP 440 has them; other forms mean the same in both."""
    exact = _EXACT.fullmatch(version)
    if exact is not None:
        return SpecifierSet(f"=={exact['version']}")
    fuzzy = _FUZZY.fullmatch(version)
    if fuzzy is not None:
        return SpecifierSet(f"=={fuzzy['version']}.*")
    return SpecifierSet(version.replace(" ", ""))
