"""`[packages.tool.mlbuild.build]` of a lock: what builds the wheel of a package that is locked as source."""

from __future__ import annotations

from typing import Annotated

from packaging.pylock import PackageWheel, PylockValidationError
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field

from builder.indexes import is_remote, without_credentials
from builder.lockfile import LockedBuild, LockedTool
from builder.pylock import SHA256
from builder.target import Target


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Tool(_Table):
    name: str
    version: str
    index: str | None = None
    url: str
    size: int | None = None
    sha256: str

    @property
    def filename(self) -> str:
        return PackageWheel(url=self.url, hashes={}).filename


class _Wheel(_Table):
    name: str
    size: Annotated[int, Field(ge=0)]
    sha256: str


class BuildTable(_Table):
    """The table as it stands in the file."""

    wheel: _Wheel
    requires: list[_Tool]

    def checked(self, filename: str, name: str, version: str, target: Target) -> LockedBuild:
        """The build of the source `filename` of a package, for `target`. Raises ValueError with what is wrong."""
        try:
            if not filename.endswith(".tar.gz"):
                raise ValueError(f"{filename} is no .tar.gz, as sources are (PEP 625)")
            _check_wheel(self.wheel.name, self.wheel.sha256, name, version, target)
            for tool in self.requires:
                _check_wheel(tool.filename, tool.sha256, tool.name, tool.version, target)
                for url in (tool.url, tool.index or tool.url):
                    if not is_remote(url) or without_credentials(url) != url:
                        raise ValueError(f"the address of {tool.name} is local, or holds a user name or password")
        except (InvalidWheelFilename, PylockValidationError) as error:
            raise ValueError(str(error)) from error
        names = [tool.name for tool in self.requires]
        if len(set(names)) < len(names):
            raise ValueError(f"what builds {name} stands there twice")
        tools = (
            LockedTool(tool.name, tool.version, tool.filename, tool.url, tool.size, tool.sha256, tool.index)
            for tool in self.requires
        )
        wheel = self.wheel
        return LockedBuild(tuple(sorted(tools, key=lambda tool: tool.name)), wheel.name, wheel.size, wheel.sha256)


def _check_wheel(filename: str, sha256: str, name: str, version: str, target: Target) -> None:
    found, found_version, _, tags = parse_wheel_filename(filename)
    if (found, found_version) != (name, Version(version)):
        raise ValueError(f"{filename} is no wheel of {name} {version}")
    if not tags & set(target.tags):
        raise ValueError(f"{filename} does not fit Python {target.python} on {target.platform}")
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"{filename} has no sha256 hash of 64 lower-case hexadecimal digits")
