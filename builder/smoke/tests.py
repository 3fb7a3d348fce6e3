"""What is tried in an image, and how it went.

What was asked for by name is told by the image itself: those of its distributions have a REQUESTED file, and
RECORD lists their modules. So any image can be tried, also one that was pulled.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from builder.buildah import Container
from builder.modules import import_names, principal_names


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """One command to run in the image. `subject` says whose it is: a package with its version, or the spec.

    A test that is not `required` is told but does not count: a part of a package that serves an extra.
    """

    name: str
    subject: str
    command: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How a test went. `exit_code` is None when it took too long, negative when a signal ended it."""

    test: SmokeTest
    exit_code: int | None
    seconds: float
    output: str

    @property
    def ran(self) -> bool:
        return self.exit_code == 0

    @property
    def passed(self) -> bool:
        """Whether the image is as good as this test asks."""
        return self.ran or not self.test.required

    @property
    def reason(self) -> str:
        """What happened, in a few words."""
        if self.exit_code is None:
            return f"did not end within {self.seconds:.0f} s"
        return f"ended by signal {-self.exit_code}" if self.exit_code < 0 else f"exit code {self.exit_code}"

    def last_lines(self, count: int = 5) -> tuple[str, ...]:
        return tuple(line for line in self.output.splitlines() if line.strip())[-count:]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Distribution(_Model):
    """As `list_inside` prints it. `files` are relative to site-packages."""

    name: str
    version: str
    files: tuple[str, ...]


class _Report(_Model):
    """A line of `run_inside`."""

    exit_code: int | None
    seconds: float
    output: str


_DISTRIBUTIONS: Final = TypeAdapter(tuple[_Distribution, ...])


def import_tests(container: Container, python: str) -> list[SmokeTest]:
    """A test for each module that the direct dependencies are there for; `python` is the interpreter inside.

    Raises Unavailable when the interpreter cannot be started.
    """
    listed = "".join(container.lines((python, "-c", _program("list_inside"))))
    tests = []
    for distribution in sorted(_DISTRIBUTIONS.validate_json(listed), key=lambda item: item.name.lower()):
        names = import_names(file for file in distribution.files if not file.startswith("../"))
        principal = principal_names(names, distribution.name)
        subject = f"{distribution.name} {distribution.version}"
        tests += [
            SmokeTest(f"import {name}", subject, (python, "-c", f"import {name}"), name in principal)
            for name in names
        ]
    return tests


def command_tests(commands: Iterable[Sequence[str]]) -> list[SmokeTest]:
    """The spec's `smoke` commands as tests."""
    return [SmokeTest(shlex.join(command), "smoke", tuple(command)) for command in commands]


def run_tests(
    container: Container, tests: Sequence[SmokeTest], python: str, *, seconds: float
) -> Iterator[SmokeResult]:
    """Run the tests one after the other, each in a process of its own, and yield each result when it is there.

    They run as the image's user in its working directory, with its environment. Raises Unavailable when the
    interpreter cannot be started.
    """
    wanted = json.dumps({"commands": [test.command for test in tests], "seconds": seconds})
    lines = container.lines((python, "-c", _program("run_inside"), wanted))
    for test, line in zip(tests, lines, strict=True):
        report = _Report.model_validate_json(line)
        yield SmokeResult(test, report.exit_code, report.seconds, report.output)


def _program(name: str) -> str:
    return (files("builder.smoke") / f"{name}.py").read_text(encoding="utf-8")
