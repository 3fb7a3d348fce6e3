"""The environment variables an image sets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from pydantic import ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin, Settings
from compliance.policy.check import Check, Parameters, Result, Selector, TextPattern
from compliance.policy.decision import Violation


class EnvironmentParameters(Parameters):
    """What may not be there, and what must. At least one of the three must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "forbid-names": ["LD_PRELOAD", "*_TOKEN", "*PASSWORD*"],
                    "forbid-values": ["*://*:*@*"],
                    "require": {"PYTHONUNBUFFERED": "1"},
                }
            ]
        }
    )

    forbid_names: tuple[TextPattern, ...] = Field(default=(), description="Patterns of names, in any case.")
    forbid_values: tuple[TextPattern, ...] = Field(
        default=(), description="Patterns that no value may fit as a whole. Reports never show a value."
    )
    require: dict[str, str] = Field(default={}, description="Names, and a pattern that each value must fit.")

    @model_validator(mode="after")
    def _demands_something(self) -> EnvironmentParameters:
        if not self.forbid_names and not self.forbid_values and not self.require:
            raise ValueError("demands nothing: give forbid-names, forbid-values or require")
        return self


def run(
    parameters: EnvironmentParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images by the environment variables that they set.

    A value is as public as the image; a variable such as LD_PRELOAD changes what every program in it does.
    """
    if isinstance(evidence.settings, Absent):
        return evidence.settings
    return tuple(_violations(parameters, evidence.settings))


def _violations(parameters: EnvironmentParameters, settings: Settings) -> Iterator[Violation]:
    pairs = [(name, value) for name, _, value in (text.partition("=") for text in settings.environment)]
    for name, value in pairs:
        by_name = next((one for one in parameters.forbid_names if fnmatchcase(name.upper(), one.upper())), None)
        by_value = next((one for one in parameters.forbid_values if fnmatchcase(value, one)), None)
        if by_name is not None:
            yield _violation(name, f"the image sets {name}, which {by_name!r} forbids", "leave it out")
        elif by_value is not None:
            yield _violation(name, f"the value of {name} fits {by_value!r}, which is forbidden", "pass it")
    found = dict(pairs)
    for name, pattern in parameters.require.items():
        if name not in found or not fnmatchcase(found[name], pattern):
            said = "sets no" if name not in found else "sets another"
            yield _violation(name, f"the image {said} {name}; wanted is one that fits {pattern!r}", "set it")


def _violation(name: str, message: str, verb: str) -> Violation:
    where = " at run time, not in the image" if verb == "pass it" else " under `env:` in mlbuild.yaml"
    return Violation(
        culprit=f"environment {name}", key=name, message=message, origin=Origin.APP, remedy=f"{verb}{where}"
    )


CHECK = Check(name="environment", parameters=EnvironmentParameters, run=run, waived_by=frozenset({Selector.KEY}))
