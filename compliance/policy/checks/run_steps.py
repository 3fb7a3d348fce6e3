"""Commands that ran inside the image while it was built."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector, TextPattern
from compliance.policy.decision import Violation


class RunStepsParameters(Parameters):
    """Which commands may run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow": ["python -m compileall *"]}]})

    allow: tuple[TextPattern, ...] = Field(
        default=(), description="Patterns that a command must fit as a whole; left out, none may run."
    )


def run(parameters: RunStepsParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images in which something ran while they were built, by the word of their provenance.

    What a command leaves behind is in no lock, and need not be the same twice.
    """
    if isinstance(evidence.build, Absent):
        return evidence.build
    return tuple(
        Violation(
            culprit=f"step {number}",
            key=step.command,
            message=f"step {number} of the build ran {step.command!r}",
            origin=Origin.APP,
            remedy="take it out of the spec, or get its result as a package or file",
        )
        for number, step in enumerate(evidence.build.steps, 1)
        if not any(fnmatchcase(step.command, one) for one in parameters.allow)
    )


CHECK = Check(name="run-steps", parameters=RunStepsParameters, run=run, waived_by=frozenset({Selector.KEY}))
