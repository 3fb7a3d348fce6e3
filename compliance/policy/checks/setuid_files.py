"""Files that give whoever runs them more rights than he has."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin, Privilege, PrivilegedFile
from compliance.policy.check import Check, Parameters, PathPattern, Result, Selector, Some
from compliance.policy.decision import Violation
from compliance.policy.pattern import matches


class SetuidFilesParameters(Parameters):
    """Which files are expected, and which kinds count."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow": ["/usr/bin/passwd"]}]})

    allow: tuple[PathPattern, ...] = Field(default=(), description="Patterns of paths that may be so.")
    privileges: Some[Privilege] = Field(
        default=tuple(Privilege), description="What counts: set-user-id, set-group-id, file capabilities."
    )
    origins: Some[Origin] = Field(default=tuple(Origin), description="Whose files count.")


def run(
    parameters: SetuidFilesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses files that run with other rights than their caller's: setuid, setgid, or with capabilities.

    They are the usual way from a process without rights to root. They are read from the image's own layers,
    so a lock waits for the image.
    """
    if isinstance(evidence.privileged, Absent):
        return evidence.privileged
    return tuple(_violation(found) for found in evidence.privileged if _counts(found, parameters))


def _counts(found: PrivilegedFile, parameters: SetuidFilesParameters) -> bool:
    return (
        found.origin in parameters.origins
        and bool(set(found.privileges) & set(parameters.privileges))
        and not any(matches(one.lstrip("/"), found.path.lstrip("/")) for one in parameters.allow)
    )


def _violation(found: PrivilegedFile) -> Violation:
    kinds = " and ".join(found.privileges)
    whose = f"of user {found.owner}, group {found.group}"
    return Violation(
        culprit=found.path,
        key=found.path,
        message=f"{found.path} {'has' if 'cap' in kinds else 'is'} {kinds}, {whose}",
        origin=found.origin,
        remedy="ask the base's owner to leave it out" if found.origin is Origin.BASE else "clear its mode bits",
    )


CHECK = Check(name="setuid-files", parameters=SetuidFilesParameters, run=run, waived_by=frozenset({Selector.PATH}))
