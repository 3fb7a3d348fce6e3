"""The stored evidence that a command judges again: a directory's, or that of everything a gate has admitted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.cli.context import Session
from builder.gate_evidence import fetch_judged
from compliance.errors import InvalidInput


@contextmanager
def archive_of(session: Session, evidence: Path | None, gate: str | None) -> Iterator[Path | None]:
    """The directory of stored evidence, fetched from the gate where that is named.

    None where the gate has no image that we may review.
    """
    if (evidence is None) == (gate is None):
        raise InvalidInput("whose evidence is meant?", remedy="Give --evidence DIR or --gate HOST.")
    if evidence is not None:
        yield evidence
    elif gate is not None:
        session.progress.step(f"fetching the evidence of {gate}")
        with tempfile.TemporaryDirectory(prefix="mlbuild-evidence-") as folder:
            yield Path(folder) if fetch_judged(gate, Path(folder)) else None
