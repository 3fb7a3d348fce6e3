"""The build of a source distribution: in a sandbox of the base, once for the same source, tools and base."""

from __future__ import annotations

import io
import json
import stat
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from builder.bases.build import BuiltBase
from builder.cache import Cache
from builder.errors import BuilderError
from builder.fetch import Artifact, fetch
from builder.image import ImageSettings, wheel_layers
from builder.inside.programs import program
from builder.inside.sandbox import Failed, open_sandbox
from builder.layers.inputs import Environment, WheelInput
from builder.lockfile import LockedTool
from builder.progress import Progress
from builder.sdists.archive import Source, read_source
from builder.target import Target
from builder.wheel_plan import LayerRules, settled_plan
from compliance.oci.digest import Digest

_KIND: Final = "sdists"
_FORMAT: Final = 1
"""Part of every cache key: raised whenever the same source would be built into another wheel."""

_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3  # who made the zip, by APPNOTE 4.4.2


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """The wheel that a source gave. Its bytes depend on what the backend wrote, not on how it zipped it."""

    filename: str
    size: int
    sha256: str
    path: Path


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds sources for one base."""

    base: BuiltBase
    cache: Cache
    progress: Progress
    workers: int = 8

    def source(self, sdist: Artifact) -> Source:
        """What a source distribution says of itself; it is fetched when it is not there."""
        return read_source(self._fetched([sdist])[0], sdist.name)

    def further_requires(self, sdist: Artifact, tools: Sequence[LockedTool]) -> tuple[str, ...]:
        """What the backend asks for besides pyproject.toml. Its code is run for it, in the sandbox."""
        try:
            asked = json.loads(self._run("requires", sdist, tools))
            return tuple(sorted(str(Requirement(item)) for item in asked))
        except (ValueError, TypeError, InvalidRequirement) as error:
            raise BuilderError(
                f"the build backend of {sdist.name} answers what is no list of requirements"
            ) from error

    def wheel(self, sdist: Artifact, name: str, version: str, tools: Sequence[LockedTool]) -> BuiltWheel:
        """The wheel of a source. Raises BuilderError when it cannot be built, or gives another project's wheel."""
        key = json.dumps(
            [_FORMAT, sdist.sha256, self.base.definition.digest, sorted(tool.sha256 for tool in tools)]
        )
        record_name = Digest.of(key.encode()).hex
        known = self.cache.recall(_KIND, record_name, _Record)
        path = self.cache.get(Digest(f"sha256:{known.sha256}")) if known is not None else None
        if known is None or path is None:
            self.progress.step(f"Building {name} {version} from source: in the base, without network")
            filename, _, content = self._run("wheel", sdist, tools).partition(b"\n")
            wheel = _Wheel.read(filename.decode("utf-8", "replace"), content, name, version)
            wheel.check(Target.of(self.base.definition))
            path = self.cache.put([wheel.content], wheel.digest)
            known = _Record(filename=wheel.filename, sha256=wheel.digest.hex)
            self.cache.remember(_KIND, record_name, known)
        return BuiltWheel(known.filename, path.stat().st_size, known.sha256, path)

    def _run(self, what: str, sdist: Artifact, tools: Sequence[LockedTool]) -> bytes:
        definition = self.base.definition
        environment = Environment(definition.prefix, definition.python)
        source, *files = self._fetched(
            [sdist, *(Artifact(tool.url, tool.sha256, tool.size, tool.filename) for tool in tools)]
        )
        wheels = [
            WheelInput(file, tool.name, tool.version, tool.sha256) for file, tool in zip(files, tools, strict=True)
        ]
        rules = LayerRules(len(self.base.layers), environment)
        layers = wheel_layers(settled_plan(wheels, rules, self.cache), self.cache, self.progress)
        command = [environment.interpreter, "-P", "-s", "-W", "ignore", "-c", program("build_wheel"), what]
        with (
            source.open("rb") as stream,
            tempfile.TemporaryFile() as result,
            open_sandbox(self.base, layers, ImageSettings("build"), self.cache) as sandbox,
        ):
            try:
                sandbox.run(command, stdin=stream, stdout=result, directory="/")
            except Failed as error:
                raise self._failure(sdist, error) from error
            result.seek(0)
            return result.read()

    def _failure(self, sdist: Artifact, error: Failed) -> BuilderError:
        compiled = self.source(sdist).compiled
        base = self.base.definition.name
        remedy = "Choose a version that has a wheel, or publish a wheel of your own on an index."
        if compiled is not None:
            return BuilderError(
                f"{sdist.name} needs a compiler for {compiled}, and the base {base} has none:\n{error.tail}",
                remedy=remedy,
            )
        return BuilderError(f"{sdist.name} cannot be built into a wheel:\n{error.tail}", remedy=remedy)

    def _fetched(self, artifacts: Sequence[Artifact]) -> list[Path]:
        files = fetch(artifacts, self.cache, self.progress, workers=self.workers)
        return [files[artifact.sha256] for artifact in artifacts]


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A wheel as the backend wrote it, zipped again: sorted, uncompressed and without times."""

    filename: str
    content: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @classmethod
    def read(cls, filename: str, content: bytes, name: str, version: str) -> _Wheel:
        """Raises BuilderError when it is no wheel of this project and version."""
        try:
            found, found_version, _, _ = parse_wheel_filename(filename)
            zipped = _zipped_again(content)
        except (InvalidWheelFilename, zipfile.BadZipFile) as error:
            raise BuilderError(f"the source of {name} {version} does not build into a wheel: {error}") from error
        if (found, found_version) != (canonicalize_name(name), Version(version)):
            raise BuilderError(f"the source of {name} {version} builds into {filename}, which is something else")
        return cls(filename, zipped)

    def check(self, target: Target) -> None:
        """Raise BuilderError when the wheel does not fit the base."""
        if not parse_wheel_filename(self.filename)[3] & set(target.tags):
            raise BuilderError(f"the wheel {self.filename} that was built does not fit {target.platform}")


def _zipped_again(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as built, zipfile.ZipFile(target, "w") as archive:
        for member in sorted(built.infolist(), key=lambda member: member.filename):
            if member.is_dir():
                continue
            entry = zipfile.ZipInfo(member.filename, _ZIP_DATE)
            mode = 0o755 if member.external_attr >> 16 & 0o111 else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.create_system = _UNIX
            archive.writestr(entry, built.read(member))
    return target.getvalue()
