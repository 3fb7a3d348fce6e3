"""What a spec's `accelerator` asks for: builds for it, a base for it, one copy of CUDA, a driver that will do."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from packaging.version import Version
from pydantic import BaseModel, ConfigDict, RootModel

from builder.lockfile import LockedWheel
from builder.sdists import Resolution
from builder.uv import Question
from compliance.bases import BaseDefinition
from compliance.document import to_model
from compliance.errors import InvalidInput, Location
from compliance.toml_document import parse_toml_document

_SUFFIX: Final = re.compile(r"-cu(?:da)?(?P<major>1[0-9])x?(?=-|$)")
_LOCAL: Final = re.compile(r"cu(?P<major>1[0-9])(?P<minor>[0-9])")
_RUNTIME: Final = "nvidia-cuda-runtime"
_OF_TOOLKIT: Final = frozenset({_RUNTIME, "nvidia-cuda-nvrtc", "nvidia-cuda-cupti", "nvidia-cublas"})
"""NVIDIA's packages that, from CUDA 13 on, have no suffix and whose major version is CUDA's."""


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
        if not names or carried == _wanted(accelerator):
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


def cuda_of(name: str, version: str) -> int | None:
    """The major version of the CUDA that a package belongs to or carries, by its normalised name and version."""
    if (match := _SUFFIX.search(name)) is not None:
        return int(match["major"])
    if name in _OF_TOOLKIT:
        return Version(version).major
    local = _LOCAL.fullmatch(Version(version).local or "")
    return int(local["major"]) if local is not None else None


def check_base(accelerator: str | None, base: BaseDefinition, at: Location) -> None:
    """Raise InvalidInput where the base is not for the accelerator."""
    if accelerator is not None and _wanted(accelerator) and base.cuda is None:
        raise InvalidInput(
            f"{accelerator} needs a base for CUDA, and {base.name} is not for it",
            at=at,
            remedy="Name a base whose recipe has `cuda`; `mlbuild base list` shows the bases.",
        )


def check_packages(accelerator: str | None, wheels: Sequence[LockedWheel], at: Location) -> None:
    """Raise InvalidInput where packages are not for the accelerator, or hold CUDA twice."""
    if accelerator is None:
        return
    by_major: dict[int, list[LockedWheel]] = {}
    for wheel in wheels:
        major = cuda_of(wheel.name, wheel.version)
        if major is not None:
            by_major.setdefault(major, []).append(wheel)
    if len(by_major) > 1:
        copies = "\n".join(_copy(major, brought) for major, brought in sorted(by_major.items()))
        raise InvalidInput(
            f"the packages bring {len(by_major)} copies of CUDA:\n{copies}",
            at=at,
            remedy="Choose versions of the requirements at the start of these chains that use one CUDA.",
        )
    if strangers := sorted(by_major.keys() - _wanted(accelerator)):
        raise InvalidInput(
            f"the accelerator is {accelerator}, and the packages bring another:\n"
            + _copy(strangers[0], by_major[strangers[0]]),
            at=at,
            remedy="Choose builds for it: another version, or an index that has them, in the table of the setting "
            "`accelerators`.",
        )


def required_driver(accelerator: str | None, wheels: Iterable[LockedWheel]) -> dict[str, str]:
    """What the NVIDIA runtime is to know of the packages: the CUDA that the machine's driver must support."""
    if accelerator is None or not _wanted(accelerator):
        return {}
    for wheel in wheels:
        if _SUFFIX.sub("", wheel.name) == _RUNTIME:
            version = Version(wheel.version)
            return {"NVIDIA_REQUIRE_CUDA": f"cuda>={version.major}.{version.minor}"}
    return {}


def _wanted(accelerator: str) -> set[int]:
    return {int(accelerator.removeprefix("cuda"))} if accelerator.startswith("cuda") else set()


def _copy(major: int, wheels: Sequence[LockedWheel]) -> str:
    lines = (f"  CUDA {major}: {wheel.name} {wheel.version}, by {' > '.join(wheel.chain)}" for wheel in wheels)
    return "\n".join(sorted(lines))
