"""Who built an image, and from what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Provenance
from compliance.inventory import Base
from compliance.policy.check import Check, Flag, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

REBUILD = "build and push it with mlbuild on a trusted builder"


class ProvenanceParameters(Parameters):
    """What the provenance must say."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"builders": ["https://ci.example.com/mlbuild"], "same-lock": True}]}
    )

    builders: Some[str] = Field(description="The builder ids that are trusted, word for word.")
    keys: Some[str] | None = Field(
        default=None, description="The names of the keys that may sign; left out, every trusted key may."
    )
    same_lock: Flag = Field(default=True, description="The lock it names must be the image's lock.")
    same_base: Flag = Field(default=False, description="The base it names must be the image's base.")


def run(
    parameters: ProvenanceParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses images without SLSA provenance, or whose provenance names another builder, key, lock, base."""
    provenance = evidence.provenance
    if isinstance(provenance, Absent):
        if provenance.pending:
            return provenance
        return (_violation("provenance", f"there is no verified provenance: {provenance.reason}"),)
    return tuple(_violation(key, message) for key, message in _complaints(parameters, provenance, evidence))


def _complaints(
    parameters: ProvenanceParameters, provenance: Provenance, evidence: Evidence
) -> Iterator[tuple[str, str]]:
    if provenance.builder not in parameters.builders:
        yield "builder", f"it was built by {provenance.builder}, which is not a trusted builder"
    if parameters.keys is not None and provenance.key not in parameters.keys:
        yield "key", f"its provenance is signed by key {provenance.key}, which is not trusted for this"
    if parameters.same_lock:
        known = None if isinstance(evidence.lock, Absent) else evidence.lock.digest
        if provenance.lock is None or provenance.lock != known:
            yield (
                "lock",
                f"its provenance names the lock {provenance.lock or '(none)'}, the image's is {known or '(none)'}",
            )
    if parameters.same_base:
        base = evidence.base.digest if isinstance(evidence.base, Base) else None
        if provenance.base is None or provenance.base != base:
            yield (
                "base",
                f"its provenance names the base {provenance.base or '(none)'}, the image's is {base or '(none)'}",
            )


def _violation(key: str, message: str) -> Violation:
    return Violation(culprit=key, key=key, message=message, remedy=REBUILD)


CHECK = Check(name="provenance", parameters=ProvenanceParameters, run=run, waived_by=frozenset({Selector.KEY}))
