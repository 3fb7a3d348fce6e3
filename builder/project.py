"""A project on disk: its spec, its lock, and the directory for what is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from builder.layers.app import AppInput
from builder.lockfile import LOCK_NAME
from builder.models.asked import patterns_of_models
from builder.spec import Spec, find_spec, read_spec
from builder.state import State

STATE_NAME: Final = ".mlbuild"


@dataclass(frozen=True)
class Project:
    """A directory with a spec in it. What is made goes to its `.mlbuild/`.

    Where images for several platforms are made of it, each is made by the project `on` an architecture, which
    keeps what belongs to that image apart.
    """

    spec_path: Path
    spec: Spec
    on: str | None = None

    @property
    def root(self) -> Path:
        return self.spec_path.parent

    @property
    def lock_path(self) -> Path:
        return self.root / LOCK_NAME

    @property
    def architecture(self) -> str:
        """What the image is made for, such as `amd64`: the first of the spec's where it is not said."""
        return self.on or self.spec.architectures[0]

    @property
    def platform(self) -> str:
        """As specs and docker name it: `linux/amd64`."""
        return f"linux/{self.architecture}"

    @cached_property
    def state(self) -> State:
        state = State.open(self.root / STATE_NAME)
        return State.open(state.directory / f"linux-{self.architecture}") if self.on is not None else state

    @property
    def app(self) -> AppInput:
        """The project's own files; what is a layer of its own as a model is not among them."""
        exclude = (*self.spec.app.exclude, *patterns_of_models(self.spec.models))
        return AppInput(self.root, self.spec.app.include, exclude)

    @property
    def each(self) -> tuple[Project, ...]:
        """The project on each platform of the spec, in the order of the lock; on its own where it is on one."""
        if self.on is not None or len(self.spec.architectures) == 1:
            return (self,)
        return tuple(replace(self, on=architecture) for architecture in self.spec.architectures)


def open_project(start: Path) -> Project:
    """The project whose spec is in `start` or above. Raises InvalidInput when there is none, or it is wrong."""
    path = find_spec(start)
    return Project(path, read_spec(path))
