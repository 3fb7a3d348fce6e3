"""Base scores of CVSS v3.0 and v3.1 vectors (FIRST, "Common Vulnerability Scoring System v3.1: Specification")."""

from __future__ import annotations

import math
from typing import Final

from compliance.evidence import Severity

_WEIGHTS: Final = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
    "UI": {"N": 0.85, "R": 0.62},
    "S": {"U": 0.0, "C": 1.0},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES_WITH_CHANGED_SCOPE: Final = {"N": 0.85, "L": 0.68, "H": 0.5}


def base_score(vector: str) -> float:
    """The base score, 0.0 to 10.0, of a `CVSS:3.x/…` vector. Raises ValueError when it is not one.

    Temporal and environmental metrics may stand in the vector; a base score does not depend on them.
    """
    prefix, *parts = vector.split("/")
    pairs = [tuple(part.split(":", 1)) for part in parts]
    if prefix not in {"CVSS:3.0", "CVSS:3.1"} or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"not a CVSS v3 vector: {vector!r}")
    metrics = {pair[0]: pair[1] for pair in pairs}
    if len(metrics) != len(pairs):
        raise ValueError(f"a metric stands twice in {vector!r}")
    wrong = [name for name, weights in _WEIGHTS.items() if metrics.get(name) not in weights]
    if wrong:
        raise ValueError(f"{vector!r} lacks a valid value for {', '.join(wrong)}")
    return _score(metrics)


def _score(metrics: dict[str, str]) -> float:
    """Section 7.1 of the specification."""
    weight = {name: weights[metrics[name]] for name, weights in _WEIGHTS.items()}
    changed = metrics["S"] == "C"
    if changed:
        weight["PR"] = _PRIVILEGES_WITH_CHANGED_SCOPE[metrics["PR"]]
    missed = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 7.52 * (missed - 0.029) - 3.25 * (missed - 0.02) ** 15 if changed else 6.42 * missed
    exploitability = 8.22 * weight["AV"] * weight["AC"] * weight["PR"] * weight["UI"]
    if impact <= 0:
        return 0.0
    return _round_up(min((1.08 if changed else 1.0) * (impact + exploitability), 10.0))


def _round_up(value: float) -> float:
    """Appendix A: one decimal, upwards, without being misled by binary fractions."""
    scaled = round(value * 100_000)
    return scaled / 100_000 if scaled % 10_000 == 0 else (math.floor(scaled / 10_000) + 1) / 10


def rating(score: float) -> Severity:
    """The qualitative rating of a score (section 5). A score of 0 says nothing, so it is UNKNOWN."""
    if score >= 9.0:
        return Severity.CRITICAL
    if score >= 7.0:
        return Severity.HIGH
    if score >= 4.0:
        return Severity.MEDIUM
    return Severity.LOW if score > 0 else Severity.UNKNOWN
