"""What is let in beside images."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from pydantic import ConfigDict, Field

from compliance.evidence import Evidence
from compliance.policy.check import Check, Parameters, Result, Selector, Some, TextPattern
from compliance.policy.decision import Violation


class ArtifactTypesParameters(Parameters):
    """The types."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allow": ["application/vnd.cncf.helm.config.v1+json"]}]}
    )

    allow: Some[TextPattern] = Field(
        description="The artifactType, or where there is none the config's media type; `*` stands for anything."
    )


def run(
    parameters: ArtifactTypesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Lets artifacts of certain types in: charts, model archives, signatures. It judges no image.

    What is not an image has no packages, user or base, so no other check is asked about it; without a rule of
    this check it is refused. An artifact made of image layers is refused whatever its type, since some
    runtimes would run it.
    """
    kind = evidence.artifact
    if kind is None or any(fnmatchcase(kind, allowed) for allowed in parameters.allow):
        return ()
    message = f"artifacts of type {kind} are not let in"
    return (Violation(kind, kind, message, remedy="push it to a repository for such artifacts"),)


CHECK = Check(
    name="artifact-types",
    parameters=ArtifactTypesParameters,
    run=run,
    waived_by=frozenset({Selector.KEY}),
    of_artifacts=True,
)
