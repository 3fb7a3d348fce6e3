"""A decision as canonical JSON, and back: equal decisions give equal bytes."""

from __future__ import annotations

from compliance.policy.canonical import canonical_json, from_canonical_json
from compliance.policy.decision import Decision


def to_json(decision: Decision) -> bytes:
    """The canonical bytes of a decision. Members at their default are left out."""
    return canonical_json(decision)


def from_json(raw: bytes) -> Decision:
    """The decision that `raw` was written from. Raises InvalidInput when it was written from none."""
    return from_canonical_json(raw, Decision)
