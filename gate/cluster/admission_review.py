"""AdmissionReview of admission.k8s.io/v1: what an API server asks a webhook, and what it is answered.

Types are strict; fields that are not looked at may be there, since every version of Kubernetes adds some.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from compliance.errors import InvalidInput

API_VERSION: Final = "admission.k8s.io/v1"
WARNING_LENGTH: Final = 256
"""Characters of a warning that an API server passes on whatever else there is (AdmissionResponse, `warnings`)."""


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Operation(StrEnum):
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


class GroupVersionKind(_Wire):
    """The type of an object. The group of pods is empty."""

    group: str
    version: str
    kind: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version} {self.kind}" if self.group else f"{self.version} {self.kind}"


class UserInfo(_Wire):
    """Who wants the object; of what a Deployment makes, a controller."""

    username: str = ""


class AdmissionRequest(_Wire):
    """What is to be created or changed. `old_object` is None but for a change."""

    uid: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    kind: GroupVersionKind
    operation: Operation
    name: str = ""
    namespace: str = ""
    user: UserInfo = Field(default=UserInfo(), alias="userInfo")
    object: JsonValue = None
    old_object: JsonValue = Field(default=None, alias="oldObject")


class AdmissionReview(_Wire):
    """A question."""

    api_version: Literal["admission.k8s.io/v1"] = Field(alias="apiVersion")
    kind: Literal["AdmissionReview"]
    request: AdmissionRequest


@dataclass(frozen=True, slots=True)
class Replacement:
    """A string to be put at a JSON pointer (RFC 6902, 4.3)."""

    path: str
    value: str


class Outcome(StrEnum):
    """An audited object is let in where it would have been refused if anything were blocked there."""

    ALLOWED = "allowed"
    AUDITED = "audited"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an API server is told. `code` and `message` are of a refusal; `annotations` go to its audit log."""

    outcome: Outcome
    message: str = ""
    code: int = 403
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    replacements: tuple[Replacement, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.outcome is not Outcome.REFUSED


_REASONS: Final = {400: "BadRequest", 403: "Forbidden", 503: "ServiceUnavailable"}


def parse_review(raw: bytes) -> AdmissionRequest:
    """Read a question. Raises InvalidInput for anything else."""
    try:
        return AdmissionReview.model_validate_json(raw).request
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InvalidInput(f"not an AdmissionReview of {API_VERSION}: {where}: {first['msg']}") from error


def to_json(uid: str, answer: Answer) -> bytes:
    """The AdmissionReview that answers the question with this uid."""
    response: dict[str, JsonValue] = {"uid": uid, "allowed": answer.allowed}
    if not answer.allowed:
        response["status"] = {
            "status": "Failure",
            "code": answer.code,
            "reason": _REASONS[answer.code],
            "message": answer.message,
        }
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    if answer.annotations:
        response["auditAnnotations"] = dict(answer.annotations)
    if answer.replacements:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(_patch(answer.replacements)).decode()
    document = {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
    return json.dumps(document, ensure_ascii=False).encode()


def _patch(replacements: Iterable[Replacement]) -> bytes:
    return json.dumps([{"op": "replace", "path": one.path, "value": one.value} for one in replacements]).encode()
