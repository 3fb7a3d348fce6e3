"""The tables of `pylock.toml` that are mlbuild's own, as they stand in the file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from builder.lock_builds import BuildTable
from builder.models.asked import Model
from compliance.base_files import LockedDeb, PackageName
from compliance.oci.digest import Digest


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BaseTable(Table):
    name: str
    digest: Digest


class SystemTable(Table):
    """`[tool.mlbuild.system]`"""

    packages: Annotated[list[PackageName], Field(min_length=1)]
    resolved: AwareDatetime
    debs: list[LockedDeb]


class ModelTable(Model):
    """`[[tool.mlbuild.models]]`"""

    size: int | None = None


class PlatformTable(Table):
    """`[[tool.mlbuild.platforms]]`: what another platform than the first has of its own."""

    platform: str
    base: Digest
    inputs: Digest
    system: SystemTable | None = None


class ToolTable(Table):
    """`[tool.mlbuild]`"""

    version: Literal[1]
    python: str
    platform: str
    inputs: Digest
    accelerator: str | None = None
    indexes: list[str]
    requirements: list[str]
    constraints: list[str] = []
    options: list[str] = []
    locks: list[str] = []
    base: BaseTable
    system: SystemTable | None = None
    models: list[ModelTable] = []
    platforms: list[PlatformTable] = []

    def on(self, other: PlatformTable) -> ToolTable:
        """The table as it would be for the other platform alone."""
        base = BaseTable(name=self.base.name, digest=other.base)
        changes = {"platform": other.platform, "inputs": other.inputs, "base": base, "system": other.system}
        return self.model_copy(update=changes)


class PackageTable(Table):
    """`[packages.tool.mlbuild]`"""

    licence: str | None = None
    direct: bool = False
    chain: list[str] = []
    yanked: bool | None = None
    build: BuildTable | None = None
