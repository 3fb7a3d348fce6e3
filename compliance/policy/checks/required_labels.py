"""What an image says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin, Settings
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation


class RequiredLabelsParameters(Parameters):
    """The labels, and what they may say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "labels": {
                        "org.opencontainers.image.source": "https://git.example.com/*",
                        "com.example.team": "?*",
                    }
                }
            ]
        }
    )

    labels: Annotated[dict[Annotated[str, Field(min_length=1)], str], Field(min_length=1)] = Field(
        description='Label names, and a pattern that the value must fit as a whole: "?*" is anything but nothing.'
    )


def run(
    parameters: RequiredLabelsParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images without certain labels, or whose labels say something else than they should."""
    if isinstance(evidence.settings, Absent):
        return evidence.settings
    return tuple(_violations(parameters, evidence.settings))


def _violations(parameters: RequiredLabelsParameters, settings: Settings) -> Iterator[Violation]:
    found = dict(settings.labels)
    for name, pattern in parameters.labels.items():
        if name not in found:
            yield _violation(name, f"the image has no label {name}", pattern)
        elif not fnmatchcase(found[name], pattern):
            yield _violation(name, f"the label {name} is {found[name]!r}, which does not fit {pattern!r}", pattern)


def _violation(name: str, message: str, pattern: str) -> Violation:
    return Violation(
        culprit=f"label {name}",
        key=name,
        message=message,
        origin=Origin.APP,
        remedy=f"set {name} under `labels:` in mlbuild.yaml, to what fits {pattern!r}",
    )


CHECK = Check(
    name="required-labels", parameters=RequiredLabelsParameters, run=run, waived_by=frozenset({Selector.KEY})
)
