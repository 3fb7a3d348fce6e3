"""What an image runs when nothing else is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Flag, Parameters, Result, Selector, Some, TextPattern
from compliance.policy.decision import Violation

SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})


class EntrypointParameters(Parameters):
    """What it may be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"programs": ["uvicorn"], "shell": False}]})

    required: Flag = Field(default=True, description="The image must name an entrypoint or a command.")
    shell: Flag = Field(
        default=True,
        description="Whether the program may be a shell, which keeps signals from what it starts.",
    )
    programs: Some[TextPattern] | None = Field(
        default=None, description="Patterns of what the program may be called, directories aside; left out, any."
    )


def run(
    parameters: EntrypointParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images by the program they start: the first word of entrypoint and command together."""
    settings = evidence.settings
    if isinstance(settings, Absent):
        return settings
    words = (*settings.entrypoint, *settings.command)
    return tuple(
        Violation(
            culprit="entrypoint",
            key="entrypoint",
            message=message,
            origin=Origin.APP,
            remedy="set `command:` or `entrypoint:` in mlbuild.yaml to a list that starts with the program itself",
        )
        for message in _complaints(parameters, words)
    )


def _complaints(parameters: EntrypointParameters, words: tuple[str, ...]) -> Iterator[str]:
    if not words:
        if parameters.required:
            yield "the image names nothing to run"
        return
    program = words[0].rpartition("/")[2]
    if not parameters.shell and program in SHELLS:
        yield f"the image starts a shell ({words[0]})"
    elif parameters.programs is not None and not any(fnmatchcase(program, one) for one in parameters.programs):
        yield f"the image starts {words[0]}, which is not one of {', '.join(parameters.programs)}"


CHECK = Check(name="entrypoint", parameters=EntrypointParameters, run=run, waived_by=frozenset({Selector.KEY}))
