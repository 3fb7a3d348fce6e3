"""The predicate of SLSA provenance v1, as it stands in a statement of build type `urn:mlbuild:build:v1`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from compliance.attest.statement import ResourceDescriptor
from compliance.oci.digest import Digest

BUILD_TYPE: Final = "urn:mlbuild:build:v1"


class Wire(BaseModel):
    """A part of the predicate. The specification lets parsers ignore members they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Spec(Wire):
    name: StrictStr
    content: StrictStr


class External(Wire):
    model_config = ConfigDict(extra="forbid")  # the specification: verifiers reject unexpected parameters

    spec: Spec


class Step(Wire):
    command: StrictStr
    network: StrictBool = False
    user: StrictStr | None = None
    layer: Digest | None = None


class Sdist(Wire):
    name: StrictStr
    version: StrictStr
    sha256: StrictStr | None = None
    network: StrictBool = False
    wheel: StrictStr | None = None


class Internal(Wire):
    layout_version: StrictInt
    steps: tuple[Step, ...] | None = None
    sdists: tuple[Sdist, ...] | None = None
    bytecode: StrictBool | None = None


class Definition(Wire):
    build_type: Literal["urn:mlbuild:build:v1"] = BUILD_TYPE
    external_parameters: External
    internal_parameters: Internal
    resolved_dependencies: tuple[ResourceDescriptor, ...]


class BuilderId(Wire):
    id: StrictStr = Field(min_length=1)


class Times(Wire):
    started_on: AwareDatetime | None = None
    finished_on: AwareDatetime | None = None


class Run(Wire):
    builder: BuilderId
    metadata: Times | None = None


class Predicate(Wire):
    build_definition: Definition
    run_details: Run
