"""How many layers an image has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation


class LayerCountParameters(Parameters):
    """The limit."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max": 56}]})

    max: Annotated[int, Field(strict=True, ge=1, le=127)] = Field(
        description="The most layers, the base's included. Some runtimes stop at 56, 70 or 127."
    )


def run(parameters: LayerCountParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images with more layers than runtimes take. A lock waits for the image."""
    layers = evidence.layers
    if isinstance(layers, Absent):
        return layers
    if len(layers) <= parameters.max:
        return ()
    return (
        Violation(
            culprit="layers",
            key="layer-count",
            message=f"the image has {len(layers)} layers, {parameters.max} are allowed",
            remedy="build it with mlbuild, which puts small packages together",
        ),
    )


CHECK = Check(name="layer-count", parameters=LayerCountParameters, run=run, waived_by=frozenset({Selector.KEY}))
