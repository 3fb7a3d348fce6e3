"""Where a spec's `accelerator` has its builds from: the table of indexes, and resolving with one of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, RootModel

from builder.cuda import cuda_of, wanted
from builder.sdists.resolve import Resolution
from builder.uv import Question
from compliance.document import to_model
from compliance.errors import InvalidInput, Location
from compliance.toml_document import parse_toml_document


class IndexFor(BaseModel):
    """Where the builds of some packages for one accelerator are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: str
    packages: tuple[str, ...]


class _Table(RootModel[dict[str, IndexFor]]):
    """By accelerator."""


Resolve = Callable[[Question], Resolution]


def read_indexes(path: Path | None) -> Mapping[str, IndexFor]:
    """The table in `path`, or the one that comes with mlbuild. Raises InvalidInput where it is not one."""
    return _read(path) if path is not None else _shipped()


@cache
def _shipped() -> Mapping[str, IndexFor]:
    with as_file(files("builder") / "accelerators.toml") as path:
        return _read(path)


def _read(path: Path) -> Mapping[str, IndexFor]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    return to_model(parse_toml_document(raw, path), _Table).root


def accelerated(resolve: Resolve, accelerator: str | None, indexes: Mapping[str, IndexFor]) -> Resolve:
    """`resolve`, with the packages of the accelerator's index from there, where the default has other builds."""
    if accelerator is None or accelerator not in indexes:
        return resolve
    source = indexes[accelerator]
    taken: set[str] = set()

    def resolve_with_index(question: Question) -> Resolution:
        try:
            answer = resolve(question)
        except InvalidInput:
            if not taken:  # else what another platform got from the index is not on the default one
                raise
            return _from_index(resolve, question, source, taken)
        names = {wheel.name for wheel in answer.packages} & set(source.packages)
        carried = {cuda_of(wheel.name, wheel.version) for wheel in answer.packages} - {None}
        if not names or carried == wanted(accelerator):
            return answer
        taken.update(names)
        return _from_index(resolve, question, source, names)

    return resolve_with_index


def _from_index(resolve: Resolve, question: Question, source: IndexFor, names: Iterable[str]) -> Resolution:
    """The answer when uv is told to take these packages, and no others, from the index."""
    with tempfile.TemporaryDirectory(prefix="mlbuild-accelerator-") as directory:
        path = Path(directory) / "pyproject.toml"
        path.write_text(_pyproject(source.index, sorted(names)))
        try:
            return resolve(replace(question, files=(*question.files, path)))
        except InvalidInput as error:
            message = error.message.replace(str(path), str(question.spec_path))
            raise InvalidInput(message, remedy=error.remedy) from error


def _pyproject(index: str, names: Sequence[str]) -> str:
    lines = ["[project]", 'name = "accelerator"', 'version = "0"', f"dependencies = {json.dumps(names)}"]
    lines += ["[[tool.uv.index]]", 'name = "accelerator"', f"url = {json.dumps(index)}", "explicit = true"]
    lines += ["[tool.uv.sources]", *(f'{name} = {{ index = "accelerator" }}' for name in names)]
    return "\n".join(lines) + "\n"
