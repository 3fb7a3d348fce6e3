"""The spec, `mlbuild.yaml`: what a data scientist writes about an image. Everything else follows from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from builder.layers.stream import Compression
from builder.models.asked import Model, keep_apart
from builder.spec_values import (
    SPEC_NAME,
    Arguments,
    DebianPackage,
    Library,
    Pattern,
    Platform,
    Port,
    Repository,
    RequirementFile,
    RequirementText,
    Text,
    User,
    Word,
)
from compliance.document import read_model
from compliance.errors import InvalidInput, Location

__all__ = ["SPEC_NAME", "App", "Spec", "Step", "find_spec", "read_spec", "spec_schema"]

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL: Final = re.compile(r"[a-z0-9]+(?:[._/-][a-z0-9]+)*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class App(_Part):
    """The project's own files, which go to /app. Patterns are globs relative to the spec; `**` crosses folders."""

    include: tuple[Pattern, ...] = Field(
        default=("**",), min_length=1, description="Which files go into the image; all sensible ones by default."
    )
    exclude: tuple[Pattern, ...] = Field(default=(), description="Which of those stay out.")


class Step(_Part):
    """A command run inside the image while it is built. What it changes there is a layer of the image."""

    run: Arguments = Field(description="The command, as a list; no shell reads it.")
    network: StrictBool = Field(
        default=False, description="Whether it may use the network. Policies may forbid that."
    )
    user: User | None = Field(default=None, description="Who it runs as; the image's user by default.")
    after: Literal["dependencies", "project"] = Field(
        default="project",
        description="What is in the image when it runs: the project's files too, or the dependencies alone, "
        "so that a change of the project does not run it again.",
    )


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    places = [step.after for step in steps]
    if places != sorted(places):
        raise ValueError("steps after `dependencies` run first: write them before those after `project`")
    return steps


def _sorted_once(platforms: tuple[Platform, ...]) -> tuple[Platform, ...]:
    if len(set(platforms)) != len(platforms):
        raise ValueError("names a platform twice")
    return tuple(sorted(platforms))


class Spec(_Part):
    """What `mlbuild.yaml` says."""

    image: Repository = Field(description="Repository in the registry, such as serving/iris: no registry, no tag.")
    base: Word = Field(description="Name of the curated base; `mlbuild base list` shows them.")
    stage: Word | None = Field(
        default=None, description="What the image is for; policies choose by it, for example serving or training."
    )
    platforms: Annotated[tuple[Platform, ...], AfterValidator(_sorted_once)] = Field(
        default=("linux/amd64",),
        min_length=1,
        description="What the image is for; several platforms make an index with an image for each.",
    )
    accelerator: Literal["cpu", "cuda12", "cuda13"] | None = Field(
        default=None,
        description="What the program computes on: picks builds of torch and its kin, and keeps CUDA to one copy.",
    )
    requirements: tuple[RequirementFile, ...] | None = Field(
        default=None,
        description="Files: requirements*.txt, pyproject.toml, uv.lock, pylock.toml in a folder, environment.yml.",
    )
    dependencies: tuple[RequirementText, ...] | None = Field(
        default=None, description="Requirements written here, instead of or beside files; [] for none."
    )
    system: tuple[DebianPackage, ...] = Field(
        default=(), description="Debian packages, by name, that lie on the base in a layer of their own."
    )
    models: Annotated[tuple[Model, ...], AfterValidator(keep_apart)] = Field(
        default=(), description="Model files, each pinned by sha256 and a layer of its own."
    )
    app: App = Field(default_factory=App, description="Which of the project's files go to /app.")
    entrypoint: Arguments | None = Field(default=None, description="The program that always runs, as a list.")
    command: Arguments | None = Field(
        default=None, description="What runs, or the entrypoint's arguments, as a list."
    )
    env: dict[str, Text] = Field(default_factory=dict, description="Environment variables. Never secrets.")
    ports: tuple[Port, ...] = Field(
        default=(), description="Ports the program listens on; tcp unless the entry says udp or sctp."
    )
    labels: dict[str, Text] = Field(default_factory=dict, description="Image labels.")
    smoke: tuple[Arguments, ...] = Field(
        default=(), description="Commands that `mlbuild test` runs in the image, each as a list; all must succeed."
    )
    provided_libraries: tuple[Library, ...] = Field(
        default=(),
        alias="provided-libraries",
        description="Shared libraries that the machine brings at run time, so that the image need not have them.",
    )
    steps: Annotated[tuple[Step, ...], AfterValidator(_in_order)] = Field(
        default=(),
        description="Commands run inside the image while it is built, in this order; each leaves one layer.",
    )
    bytecode: StrictBool = Field(
        default=False, description="Add bytecode of the dependencies, so that programs start sooner."
    )
    compression: Compression = Field(
        default=Compression.GZIP,
        description="How the layers above the base are compressed: gzip, which every client reads, or zstd.",
    )
    user: User | None = Field(
        default=None, description="Who the program runs as: name, number or uid:gid; the base's user by default."
    )

    @field_validator("env", "labels")
    @classmethod
    def _keys(cls, table: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        form = _VARIABLE if info.field_name == "env" else _LABEL
        for key in table:
            if not form.fullmatch(key):
                wanted = "letters, digits and _" if form is _VARIABLE else "lower-case words with dots between"
                raise ValueError(f"{key!r} cannot be a key here: {wanted}")
        return table

    @field_validator("system")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"{name} stands twice")
        return names

    @property
    def architectures(self) -> tuple[str, ...]:
        """Those of the platforms, sorted: `amd64`, `arm64`."""
        return tuple(platform.partition("/")[2] for platform in self.platforms)

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Spec:
        if self.requirements is None and self.dependencies is None:
            raise ValueError(
                "neither requirements nor dependencies are given: name requirement files, "
                "list dependencies, or write `dependencies: []` for none"
            )
        return self


def read_spec(path: Path) -> Spec:
    """Read a spec. Raises InvalidInput with file, line and the nearest right key for anything doubtful."""
    spec, _ = read_model(path, Spec)
    return spec


def find_spec(start: Path) -> Path:
    """The nearest `mlbuild.yaml` in `start` or a directory above it. Raises InvalidInput when there is none."""
    directory = start.resolve()
    for candidate in (directory, *directory.parents):
        if (candidate / SPEC_NAME).is_file():
            return candidate / SPEC_NAME
    raise InvalidInput(
        f"there is no {SPEC_NAME} here or in a directory above",
        at=Location(start),
        remedy="Run `mlbuild init` to write one from what is in the project.",
    )


def spec_schema() -> dict[str, Any]:
    """The JSON schema of `mlbuild.yaml`, for editors. The same types that read the file make it."""
    schema = Spec.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SPEC_NAME}
