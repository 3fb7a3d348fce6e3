"""Files that people write: every value keeps the line it came from, and every error names it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compliance.errors import InvalidInput, Location
from compliance.strict_yaml import parse_yaml

MAX_BYTES: Final = 1_000_000

Key = str | int
KeyPath = tuple[Key, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)

_SHAPES: Final = {
    "model_type": "is not a mapping of keys to values",
    "dict_type": "is not a mapping of keys to values",
    "tuple_type": "is not a list: write [one, another]",
    "list_type": "is not a list: write [one, another]",
}
"""What pydantic says of a value's shape, in the words of a file."""


@dataclass(frozen=True, slots=True)
class Document:
    """The plain data of a YAML file, and where each part of it stands."""

    path: Path
    data: Any
    lines: dict[KeyPath, int]

    def where(self, key_path: Iterable[Key]) -> Location:
        """The location of the nearest enclosing part of `key_path` that is in the file."""
        wanted = tuple(key_path)
        while wanted and wanted not in self.lines:
            wanted = wanted[:-1]
        return Location(self.path, self.lines.get(wanted, 1))


def read_document(path: Path) -> Document:
    """Read a YAML file strictly. Raises InvalidInput, with the line, for anything doubtful."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    return parse_document(raw, path)


def parse_document(raw: bytes, path: Path) -> Document:
    """As read_document, for bytes already in memory; `path` is used in messages only."""
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"is larger than {MAX_BYTES:,} bytes", at=Location(path))
    return Document(path, *parse_yaml(raw, path))


def read_model(path: Path, model: type[ModelT]) -> tuple[ModelT, Document]:
    """Read a YAML file into a pydantic model. Errors name file, line and the nearest right key."""
    document = read_document(path)
    return to_model(document, model), document


def to_model(document: Document, model: type[ModelT], at: KeyPath = ()) -> ModelT:
    """Validate the part of `document` at `at` as `model`. Raises InvalidInput with every problem found."""
    data = document.data
    for key in at:
        data = data[key]
    if data is None:
        data = {}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _as_invalid_input(error, document, model, at) from error


def _as_invalid_input(
    error: ValidationError, document: Document, model: type[BaseModel], at: KeyPath
) -> InvalidInput:
    found = error.errors(include_url=False)
    problems = [
        (document.where((*at, *problem["loc"])), _sentence(problem, model))
        for problem in found
        if not _follows_from_another(problem, found)
    ]
    first_at, first = problems[0]
    rest = [f"{where}: {text}" for where, text in problems[1:]]
    return InvalidInput("\n".join([first, *rest]), at=first_at)


def _follows_from_another(problem: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only since an item of it was not accepted."""
    loc = problem["loc"]
    return problem["type"] == "too_short" and any(
        one["loc"][: len(loc)] == loc and one["loc"] != loc for one in found
    )


def _sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    loc, kind, message = problem["loc"], problem["type"], problem["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in loc if part != "[key]")
    if kind == "string_type" and type(problem["input"]) in {int, float}:
        message = "is a number, not text: put it in quotes"
    if kind in {"tuple_type", "list_type"} and isinstance(problem["input"], str):
        return f"{name}: is not a list: write [{problem['input']}]"
    message = _SHAPES.get(kind, message)
    if not name:
        return message
    if kind == "extra_forbidden":
        return _unknown_key(loc[-1], keys_of(model, loc[:-1]))
    if kind == "missing":
        return f"{name} is missing"
    if kind in {"enum", "literal_error"}:
        near = nearest(str(problem["input"]), re.findall(r"'([^']+)'", problem["ctx"]["expected"]))
        if near:
            return f"{name}: unknown value {problem['input']!r}, did you mean {near!r}?"
    return f"{name}: {message}"


def _unknown_key(key: Key, known: list[str]) -> str:
    near = nearest(str(key), known)
    if near:
        return f"unknown key {key!r}, did you mean {near!r}?"
    return f"unknown key {key!r}" + (f"; known: {', '.join(known)}" if known else "")


def keys_of(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """The keys, as written in files, that `model` allows at the nested place `loc`."""
    current = model
    for key in loc:
        if isinstance(key, int):
            continue
        by_alias = {field.alias or name: field for name, field in current.model_fields.items()}
        inner = _model_in(by_alias[key].annotation) if key in by_alias else None
        if inner is None:
            return []
        current = inner
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, or None when none is close."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)
