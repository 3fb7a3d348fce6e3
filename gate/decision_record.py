"""A decision, and the evidence it was taken on, as they are stored and read again."""

from __future__ import annotations

import secrets

from pydantic import TypeAdapter, ValidationError

from compliance.errors import InvalidInput
from compliance.evidence import Evidence
from compliance.oci.digest import Digest
from compliance.policy.canonical import canonical_json
from compliance.policy.decision import Decision
from compliance.policy.reports import one_line, to_json
from gate.schema import StoredDecision

_EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Evidence)


def record_of(
    name: tuple[str, Digest],
    decision: Decision,
    evidence: Evidence,
    inputs: Digest,
    *,
    user: str,
    tag: str | None = None,
    later: bool = False,
) -> StoredDecision:
    """A new record of a decision on `name`, a repository and a digest; the rest is as its table says."""
    repository, digest = name
    return StoredDecision(
        id=secrets.token_hex(8),
        repository=repository,
        digest=digest,
        tag=tag,
        user=user,
        at=decision.at,
        verdict=decision.verdict,
        line=one_line(decision),
        inputs=inputs,
        policy_digest=decision.policy_digest,
        evidence_digest=decision.evidence_digest,
        databases="\n".join(f"{each.name} {each.digest}" for each in decision.databases),
        decision=to_json(decision),
        evidence=canonical_json(evidence),
        mode=decision.mode,
        later=later,
    )


def stored_evidence(decision: StoredDecision) -> Evidence:
    """The evidence that a decision was taken on. Raises InvalidInput when it is not what was stored."""
    if Digest.of(decision.evidence) != decision.evidence_digest:
        raise InvalidInput(f"the evidence of decision {decision.id} was changed since it was stored")
    try:
        return _EVIDENCE.validate_json(decision.evidence)
    except ValidationError as error:
        raise InvalidInput(f"the evidence of decision {decision.id} cannot be read: {error}") from error
