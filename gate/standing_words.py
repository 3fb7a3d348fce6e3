"""What those who pull are told of what no longer complies."""

from __future__ import annotations

from gate.answers import warning
from gate.errors import Code, Fault
from gate.standings import Standing


def still_pullable(standing: Standing, report: str) -> str:
    """The `Warning` header of a pull: until when, why, and where the report is."""
    return warning(f"Pullable until {standing.until:%Y-%m-%d %H:%M} UTC. {_line(standing)}. Report: {report}")


def no_longer_pullable(standing: Standing, report: str) -> Fault:
    """The answer when the deadline has passed."""
    return Fault(403, Code.DENIED, f"{_line(standing)}. Report: {report}")


def _line(standing: Standing) -> str:
    return standing.line.rstrip(".")
