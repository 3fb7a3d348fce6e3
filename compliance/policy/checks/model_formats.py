"""The formats models are saved in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.inventory import ModelFile, Origin
from compliance.policy.check import Check, Flag, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

ModelFormat = Literal[
    "catboost",
    "cloudpickle",
    "dill",
    "gguf",
    "hdf5",
    "joblib",
    "keras",
    "keras-h5",
    "lightgbm",
    "npy",
    "npz",
    "onnx",
    "pickle",
    "pytorch",
    "safetensors",
    "skops",
    "tf-savedmodel",
    "tflite",
    "torchscript",
    "xgboost-json",
    "xgboost-ubj",
]
"""The formats that are told apart: the keys of compliance.models.FORMATS."""

Formats = Some[ModelFormat]


class ModelFormatsParameters(Parameters):
    """Which models may be in an image. At least one of allow, deny and refuse-unsafe must be given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allow": ["onnx", "safetensors", "skops"], "refuse-unsafe": True}]}
    )

    allow: Formats | None = Field(default=None, description="The only formats that are allowed.")
    deny: Formats | None = Field(default=None, description="Formats that are not allowed.")
    refuse_unsafe: Flag = Field(default=False, description="Refuse files that may run code when they are loaded.")
    origins: Some[Origin] = Field(default=(Origin.DEPENDENCY, Origin.APP), description="Whose files count.")

    @model_validator(mode="after")
    def _refuses_something(self) -> ModelFormatsParameters:
        if self.allow is None and self.deny is None and not self.refuse_unsafe:
            raise ValueError("refuses nothing: give allow, deny or refuse-unsafe")
        return self


def run(
    parameters: ModelFormatsParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses model files by format, or because loading them may run code, as loading a pickle does.

    The format is told from a file's content, not from its name.
    """
    if isinstance(evidence.models, Absent):
        return evidence.models
    return tuple(
        _violation(model, complaint)
        for model in evidence.models
        if model.origin in parameters.origins
        if (complaint := _complaint(model, parameters)) is not None
    )


def _complaint(model: ModelFile, parameters: ModelFormatsParameters) -> str | None:
    if parameters.refuse_unsafe and model.unsafe is not None:
        return f"may run code when it is loaded: {model.unsafe}"
    if parameters.deny is not None and model.format in parameters.deny:
        return "is in a format that is not allowed"
    if parameters.allow is not None and model.format not in parameters.allow:
        return f"is not in an allowed format ({', '.join(parameters.allow)})"
    return None


def _violation(model: ModelFile, complaint: str) -> Violation:
    yours = model.origin is Origin.APP
    return Violation(
        culprit=model.path,
        key=model.path,
        message=f"{model.path} ({model.format}) {complaint}",
        origin=model.origin,
        remedy="save it with skops, ONNX or safetensors" if yours else "leave out the package that brings it",
    )


CHECK = Check(
    name="model-formats",
    parameters=ModelFormatsParameters,
    run=run,
    waived_by=frozenset({Selector.PATH}),
)
