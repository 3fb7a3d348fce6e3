"""Judged evidence on disk: what a changed policy can be replayed over.

A directory of pairs, each named after its subject:

    serving_iris-0f3c9a1b2c3d.evidence.json   the evidence, in canonical bytes
    serving_iris-0f3c9a1b2c3d.decision.json   the decision that was reached on it
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from compliance.errors import InvalidInput, Location, Unavailable
from compliance.evidence import Evidence, Subject
from compliance.oci.digest import Digest
from compliance.policy.canonical import canonical_json
from compliance.policy.decision import Decision
from compliance.policy.reports.stored import to_json

EVIDENCE: Final = ".evidence.json"
DECISION: Final = ".decision.json"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence, and the decision that was reached on it. `name` is that of its files, without their endings."""

    name: str
    evidence: Evidence
    decision: Decision


def save_judged(directory: Path, evidence: Evidence, decision: Decision) -> str:
    """Store a pair in `directory`, over an earlier one of the same subject; returns its name.

    Raises Unavailable when it cannot be written.
    """
    name = name_of(evidence.subject)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}{EVIDENCE}").write_bytes(canonical_json(evidence))
        (directory / f"{name}{DECISION}").write_bytes(to_json(decision))
    except OSError as error:
        raise Unavailable(f"{error.filename}: cannot be written: {error.strerror}") from error
    return name


def name_of(subject: Subject) -> str:
    """What a subject's files are called: its repository, and twelve digits of its digest or `lock`."""
    version = subject.digest.hex[:12] if subject.digest else "lock"
    return f"{subject.repository.replace('/', '_')}-{version}"


def judged_names(directory: Path) -> tuple[str, ...]:
    """The names of the pairs in `directory`, sorted. Raises InvalidInput when there are none."""
    if not directory.is_dir():
        raise InvalidInput("is not a directory of stored evidence", at=Location(directory))
    files = (name for name in os.listdir(directory) if name.endswith(EVIDENCE))  # noqa: PTH208 - names alone, of many
    names = tuple(sorted(name.removesuffix(EVIDENCE) for name in files))
    if not names:
        raise InvalidInput(
            f"holds no stored evidence (*{EVIDENCE})",
            at=Location(directory),
            remedy="Store some: `mlbuild check --save-evidence DIR` in each project.",
        )
    return names


def read_judged(directory: Path, name: str) -> Judged:
    """One stored pair.

    The decision names the digest of the evidence it was reached on, so neither need be proved canonical.
    Raises InvalidInput when a file is missing, is not what it should be, or the two do not belong together.
    """
    raw, where = _bytes(directory / f"{name}{EVIDENCE}"), directory / f"{name}{DECISION}"
    try:
        decision = _adapter(Decision).validate_json(_bytes(where))
    except ValidationError as error:
        raise InvalidInput("is not a stored decision", at=Location(where)) from error
    if Digest.of(raw) != decision.evidence_digest:
        raise InvalidInput(
            f"is about other evidence than {name}{EVIDENCE} holds",
            at=Location(where),
            remedy="Judge the image again and store both.",
        )
    try:
        evidence = _adapter(Evidence).validate_json(raw)
    except ValidationError as error:
        raise InvalidInput("is not stored evidence", at=Location(directory / f"{name}{EVIDENCE}")) from error
    return Judged(name, evidence, decision)


def all_judged(directory: Path) -> Iterator[Judged]:
    """Every stored pair, one at a time. Raises InvalidInput as `judged_names` and `read_judged` do."""
    return (read_judged(directory, name) for name in judged_names(directory))


@functools.cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
