"""How large an image is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation

MEGABYTE = 1_000_000


class ImageSizeParameters(Parameters):
    """The limit."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max-megabytes": 2000}]})

    max_megabytes: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="The most that all layers may have together, as they are transferred: in millions of bytes."
    )


def run(parameters: ImageSizeParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images that are too large to start quickly. A lock waits for the image."""
    layers = evidence.layers
    if isinstance(layers, Absent):
        return layers
    size = sum(layer.size for layer in layers)
    if size <= parameters.max_megabytes * MEGABYTE:
        return ()
    largest = max(layers, key=lambda layer: (layer.size, layer.digest))
    return (
        Violation(
            culprit="image size",
            key="image-size",
            message=(
                f"the image has {size / MEGABYTE:,.0f} MB, {parameters.max_megabytes:,} are allowed; "
                f"its largest layer has {largest.size / MEGABYTE:,.0f} MB"
            ),
            remedy="drop packages that are not used, and keep data and checkpoints out of the app",
        ),
    )


CHECK = Check(name="image-size", parameters=ImageSizeParameters, run=run, waived_by=frozenset({Selector.KEY}))
