"""The errors of the gate package, and the form in which a registry client is told of one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from compliance.errors import ComplianceError

NO_DATABASE: Final = "the gate's database cannot be used"
"""All that is said of it to those who do not run the gate: where it is and why are in the log."""


class GateError(ComplianceError):
    """Root of the gate's failures that are neither a bad input file nor an unavailable service."""


class Code(StrEnum):
    """Error codes of the distribution specification v1.1, "Error Codes"."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DENIED = "DENIED"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNAUTHORIZED = "UNAUTHORIZED"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"


class Fault(GateError):
    """An answer other than success. Clients show the first error only, and best when it is one line."""

    def __init__(self, status: int, code: Code, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


def malformed(message: str) -> Fault:
    return Fault(400, Code.MANIFEST_INVALID, message)


def upstream_down() -> Fault:
    """The registry behind the gate does not answer; nothing is admitted meanwhile."""
    return Fault(
        503, Code.UNAVAILABLE, "the registry behind the gate does not answer; nothing was admitted; try again"
    )
