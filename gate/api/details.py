"""From what is stored to what the API says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.oci.digest import Digest
from compliance.policy.decision import Decision, RuleOutcome, Status, Violation
from gate.api.models import (
    Finding,
    Findings,
    Image,
    ImageLayer,
    ImageProvenance,
    ImageSummary,
    SignedStatement,
)
from gate.catalogue import Judged

_TOLD: Final = (Status.DENIED, Status.UNDECIDED, Status.WARNED, Status.WAIVED)


def image(
    judged: Judged, decision: Decision, evidence: Evidence, statements: Sequence[tuple[str, Digest]]
) -> Image:
    """Everything about one image."""
    provenance, inventory, layers = evidence.provenance, evidence.inventory, evidence.layers
    return Image(
        **ImageSummary.model_validate(judged).model_dump(),
        base=None if isinstance(evidence.base, Absent) else evidence.base.name,
        packages=None if isinstance(inventory, Absent) else len(inventory.packages),
        layers=() if isinstance(layers, Absent) else tuple(ImageLayer.model_validate(layer) for layer in layers),
        findings=findings(decision),
        provenance=None if isinstance(provenance, Absent) else ImageProvenance.model_validate(provenance),
        statements=tuple(SignedStatement(predicate_type=kind, digest=digest) for kind, digest in statements),
        unknown=_unknown(evidence),
    )


def findings(decision: Decision) -> Findings:
    """The violations of a decision, those of the base apart."""
    found = [
        (violation.origin, _finding(outcome, violation))
        for outcome in decision.with_status(*_TOLD)
        for violation in outcome.violations
    ]
    return Findings(
        base=tuple(finding for origin, finding in found if origin is Origin.BASE),
        yours=tuple(finding for origin, finding in found if origin is not Origin.BASE),
    )


def _finding(outcome: RuleOutcome, violation: Violation) -> Finding:
    return Finding(
        policy=outcome.policy,
        rule=outcome.rule,
        status=Status.WAIVED if violation.waiver else outcome.status,
        culprit=violation.culprit,
        key=violation.key,
        aliases=violation.aliases,
        message=violation.message,
        severity=violation.severity,
        origin=violation.origin,
        layer=violation.layer,
        chain=violation.chain,
        fixed=violation.fixed,
        remedy=violation.remedy or outcome.fix,
        waiver=violation.waiver,
    )


def _unknown(evidence: Evidence) -> dict[str, str]:
    parts = {
        "base": evidence.base,
        "packages": evidence.inventory,
        "vulnerabilities": evidence.vulnerabilities,
        "secrets": evidence.secrets,
        "models": evidence.models,
        "sbom": evidence.sbom,
        "provenance": evidence.provenance,
        "layers": evidence.layers,
    }
    return {name: part.reason for name, part in parts.items() if isinstance(part, Absent)}
