"""Resolving a project whose packages do not all come as wheels: the others are built, and offered as wheels."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement

from builder.fetch import Artifact
from builder.lockfile import LockedBuild, LockedTool, LockFile
from builder.metadata import WheelMetadata
from builder.progress import Progress
from builder.requirements import Inputs
from builder.sdists.build import Builder, BuiltWheel
from builder.sdists.find import ReadMetadata, Search
from builder.sdists.needed import FORBIDDEN
from builder.uv import NoSolution, Question, ResolvedWheel, Uv
from compliance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Resolution:
    """What was chosen, by name, sorted. `builds` says of those that were built here how that went.

    `packages` are what is locked: wheels, and the source distributions of what was built.
    """

    packages: tuple[ResolvedWheel, ...]
    metadata: Mapping[str, WheelMetadata]
    builds: Mapping[str, LockedBuild]


@dataclass(frozen=True, slots=True)
class _Built:
    source: ResolvedWheel
    build: LockedBuild
    wheel: BuiltWheel


@dataclass
class Resolver:
    """`open_builder` makes what builds; None where the user wants nothing built."""

    uv: Uv
    question: Question
    inputs: Inputs
    read: ReadMetadata
    open_builder: Callable[[], Builder] | None
    progress: Progress
    _built: dict[str, _Built] = field(default_factory=dict)

    def resolve(self, before: LockFile | None) -> Resolution:
        """The answer to the question; `before` is the lock that there is, whose builds are kept.

        Raises InvalidInput when there is no answer, with wheels alone or with what could be built.
        """
        resolved = self._resolve(before)
        built = {wheel.name: self._built[wheel.name] for wheel in resolved if wheel.url.startswith("file:")}
        self.progress.step(f"reading what {len(resolved)} wheels say of themselves")
        wheels = [_offered(built[wheel.name]) if wheel.name in built else wheel for wheel in resolved]
        return Resolution(
            tuple(built[wheel.name].source if wheel.name in built else wheel for wheel in resolved),
            self.read(wheels),
            {name: one.build for name, one in built.items()},
        )

    def _resolve(self, before: LockFile | None) -> tuple[ResolvedWheel, ...]:
        locked = _locked(before) if before is not None and not self.question.upgrade else {}
        sources: Sequence[ResolvedWheel] = [source for source, _ in locked.values()]
        with tempfile.TemporaryDirectory(prefix="mlbuild-wheels-") as directory:
            question = self.question
            while True:
                try:
                    return self.uv.resolve(question)
                except NoSolution as error:
                    if self.open_builder is None:
                        raise InvalidInput(error.message, remedy=f"{error.remedy} {FORBIDDEN}") from error
                    sources = sources or self._search()
                    known = {built.source for built in self._built.values()}
                    fresh = [source for source in sources if source not in known]
                    if not fresh:
                        raise
                builder = self.open_builder()
                for source in fresh:
                    _, kept = locked.get(source.name, (None, None))
                    tools = kept.tools if kept is not None else self._tools(source, builder)
                    self._built[source.name] = _build(source, tools, builder, Path(directory))
                sources = ()
                question = replace(question, wheels=Path(directory))

    def _search(self) -> Sequence[ResolvedWheel]:
        self.progress.step("not all of it comes as wheels: looking for what does not")
        metadata = self.read([_offered(built) for built in self._built.values()])
        search = Search(self.uv, replace(self.question, pinned=None), self.read, metadata, self.inputs.options)
        return search.sources(
            [asked.requirement for asked in self.inputs.asked],
            [*(asked.requirement for asked in self.inputs.constraints), *map(Requirement, self.question.limits)],
        )

    def _tools(self, source: ResolvedWheel, builder: Builder) -> tuple[LockedTool, ...]:
        """The wheels that build a source: what pyproject.toml asks for, and what the backend says then."""
        asked = builder.source(_artifact(source)).requires
        tools = self._locked_tools(source, asked)
        further = builder.further_requires(_artifact(source), tools)
        return self._locked_tools(source, (*asked, *further)) if set(further) - set(asked) else tools

    def _locked_tools(self, source: ResolvedWheel, asked: Sequence[str]) -> tuple[LockedTool, ...]:
        question = replace(
            self.question,
            files=(),
            dependencies=(*self.inputs.options, *asked),
            pinned=None,
            limits=(),
        )
        try:
            found = self.uv.resolve(question)
        except NoSolution as error:
            raise NoSolution(
                f"what {source.name} {source.version} is built with cannot be had as wheels: {error.message}",
                remedy="Choose a version that has a wheel, or publish a wheel of your own on an index.",
            ) from error
        return tuple(
            LockedTool(one.name, one.version, one.filename, one.url, one.size, one.sha256, one.index)
            for one in found
        )


def _artifact(source: ResolvedWheel) -> Artifact:
    return Artifact(source.url, source.sha256, source.size, source.filename)


def _build(source: ResolvedWheel, tools: tuple[LockedTool, ...], builder: Builder, directory: Path) -> _Built:
    wheel = builder.wheel(_artifact(source), source.name, source.version, tools)
    shutil.copyfile(wheel.path, directory / wheel.filename)
    return _Built(source, LockedBuild(tools, wheel.filename, wheel.size, wheel.sha256), wheel)


def _offered(built: _Built) -> ResolvedWheel:
    """A wheel that was built here, as uv would pin it."""
    source, wheel = built.source, built.wheel
    return replace(source, filename=wheel.filename, url=wheel.path.as_uri(), sha256=wheel.sha256, size=wheel.size)


def _locked(before: LockFile) -> dict[str, tuple[ResolvedWheel, LockedBuild]]:
    """The sources in a lock, and how they were built."""
    return {
        one.name: (
            ResolvedWheel(
                one.name,
                one.version,
                one.filename,
                one.url,
                one.sha256,
                one.size,
                one.upload_time,
                one.index,
            ),
            one.build,
        )
        for one in before.wheels
        if one.build is not None
    }
