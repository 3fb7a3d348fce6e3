"""Who signed what came with an image."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from compliance.evidence import Absent, Evidence, Provenance, Sbom
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation

REMEDY = "push it with mlbuild from a machine whose key is trusted"


class SignatureParameters(Parameters):
    """What must be signed, and by whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": ["ci-2026"], "of": ["sbom"]}]})

    of: Some[Literal["sbom", "provenance"]] = Field(
        default=("provenance", "sbom"), description="The evidence that must be signed."
    )
    keys: Some[str] | None = Field(
        default=None, description="The names of the keys that may sign; left out, every trusted key may."
    )


def run(parameters: SignatureParameters, evidence: Evidence, at: datetime) -> Result:  # noqa: ARG001 - as all checks
    """Refuses images whose SBOM or provenance is not signed, by a trusted key, as being about this very image."""
    parts: dict[str, Sbom | Provenance | Absent] = {"sbom": evidence.sbom, "provenance": evidence.provenance}
    chosen = [(name, parts[name]) for name in parameters.of]
    waiting = next((part for _, part in chosen if isinstance(part, Absent) and part.pending), None)
    if waiting is not None:
        return waiting
    return tuple(
        Violation(culprit=name, key=name, message=complaint, remedy=REMEDY)
        for name, part in chosen
        if (complaint := _complaint(name, part, parameters.keys)) is not None
    )


def _complaint(name: str, part: Sbom | Provenance | Absent, keys: tuple[str, ...] | None) -> str | None:
    if isinstance(part, Absent):
        return f"there is no signed {name}: {part.reason}"
    if part.key is None:
        return f"nothing says who signed the {name}"
    if keys is not None and part.key not in keys:
        return f"the {name} is signed by key {part.key}, which is not one of {', '.join(keys)}"
    return None


CHECK = Check(name="signature", parameters=SignatureParameters, run=run, waived_by=frozenset({Selector.KEY}))
