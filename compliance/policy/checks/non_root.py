"""The user an image runs as."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Flag, Parameters, Result, Selector
from compliance.policy.decision import Violation

MAX_UID: Final = 2**31 - 1


class NonRootParameters(Parameters):
    """How the user may be written."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"numeric": True}]})

    numeric: Flag = Field(
        default=False, description="Demand a number: Kubernetes' runAsNonRoot can judge nothing else."
    )


def run(parameters: NonRootParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images that run as root: no user at all, `root`, or user id 0, with or without a group."""
    settings = evidence.settings
    if isinstance(settings, Absent):
        return settings
    user = settings.user.partition(":")[0].strip()
    complaint = _complaint(user, numeric=parameters.numeric)
    if complaint is None:
        return ()
    return (
        Violation(
            culprit=f"user {user or '(none)'}",
            key="user",
            message=complaint,
            origin=Origin.APP,
            remedy=f"set `user: {'65532' if parameters.numeric else 'nonroot'}` in mlbuild.yaml",
        ),
    )


def _complaint(user: str, *, numeric: bool) -> str | None:
    if not user:
        return "the image names no user, so it runs as root"
    if user == "root":
        return "the image runs as root"
    if re.fullmatch(r"[-+]?\d+", user):
        number = int(user[:20])
        if number == 0:
            return "the image runs as user id 0, which is root"
        return None if 0 < number <= MAX_UID else f"the image runs as {user!r}, which is not a user id"
    return f"the image names its user {user!r} instead of giving its number" if numeric else None


CHECK = Check(name="non-root", parameters=NonRootParameters, run=run, waived_by=frozenset({Selector.KEY}))
