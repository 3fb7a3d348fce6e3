"""What a check is: a name, a model of its parameters, and a pure function over the evidence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.policy.decision import Violation
from compliance.policy.pattern import package_pattern

ItemT = TypeVar("ItemT")

Result = tuple[Violation, ...] | Absent
"""Every violation found, none when the rule is kept, or why it cannot be told."""


def _not_empty(values: tuple[ItemT, ...]) -> tuple[ItemT, ...]:
    if not values:
        raise ValueError("names nothing")
    return values


Some = Annotated[tuple[ItemT, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
"""One or more."""


def _is_package(text: str) -> str:
    package_pattern(text)
    return text


PackageText = Annotated[str, AfterValidator(_is_package)]
"""A package by name or purl: `pillow`, `pkg:pypi/pillow@9.*`."""

PathPattern = Annotated[str, Field(min_length=1, max_length=4096)]
"""A path in the image; `*` is part of a name, `**` any number of directories."""

TextPattern = Annotated[str, Field(min_length=1, max_length=1000)]
"""A text in which `*` stands for any characters and `?` for one."""

Days = Annotated[int, Field(strict=True, ge=0, le=36500)]
Flag = Annotated[bool, Field(strict=True)]


def kebab(name: str) -> str:
    """A parameter's name as policy files write it."""
    return name.replace("_", "-")


class Parameters(BaseModel):
    """The parameters of a check, as they stand under `with:` in a policy file."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=False)


class Selector(StrEnum):
    """How a waiver names what it excuses."""

    VULNERABILITY = "vulnerability"  # an id or an alias of it
    PACKAGE = "package"  # a name or a purl pattern
    PATH = "path"  # a path pattern
    KEY = "key"  # the violation's key, word for word


ParametersT = TypeVar("ParametersT", bound=Parameters)


@dataclass(frozen=True, slots=True)
class Check(Generic[ParametersT]):
    """One check. `run` is pure; its docstring is the reference text. `waived_by` are the selectors that fit.

    `of_artifacts` is whether it is about what is no image; all others are about images alone.
    """

    name: str
    parameters: type[ParametersT]
    run: Callable[[ParametersT, Evidence, datetime], Result]
    waived_by: frozenset[Selector]
    of_artifacts: bool = False

    def is_about(self, evidence: Evidence) -> bool:
        """Whether it has anything to say of what this is the evidence of."""
        return self.of_artifacts == (evidence.artifact is not None)

    @property
    def text(self) -> str:
        """What the check does, for the reference page."""
        return inspect.getdoc(self.run) or ""


AnyCheck = Check[Any]
