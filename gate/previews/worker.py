"""The process that tries policies out: it reads what somebody uploaded, and holds no secret and no database.

Run by a gate as `python -m gate.previews.worker DIRECTORY`, which talks to it as `gate.previews.messages` says.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from compliance.document import read_document
from compliance.errors import InvalidInput
from compliance.evidence import Evidence
from compliance.policy.decision import Decision, Mode
from compliance.policy.difference import difference
from compliance.policy.impact import Replay, change_of, last_announcement
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.policy.policy_document import parse_policy
from compliance.policy.verdict_change import VerdictChange
from gate.previews.messages import (
    Accepted,
    Changed,
    Difference,
    Done,
    Job,
    Judged,
    Problem,
    Refused,
    Why,
    cut,
)
from gate.previews.unpacking import unpack

MEMORY: Final = 2 << 30
"""Bytes of address space."""

SECONDS: Final = 900
"""Of processor time."""

IN_FORCE: Final = "in-force"
UPLOADED: Final = "uploaded"
MOST_TOLD: Final = 200
MOST_REASONS: Final = 10
_STEP: Final = 50


@dataclass(frozen=True, slots=True)
class Line:
    """A line of evidence, with the place of the image that it is about."""

    repository: str
    digest: str
    decision: Decision
    evidence: Evidence


_LINE: Final = TypeAdapter(Line)


def main() -> None:
    os.chdir(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    gc.set_threshold(50_000, 50, 50)
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        replay = _replay(Job.model_validate_json(source.readline()), answers)
    except InvalidInput as error:
        _say(answers, Refused(problems=(_problem(error),)))
        return
    if replay is not None:
        _judge(replay, source, answers)


def _replay(job: Job, answers: BinaryIO) -> Replay | None:
    """What evidence is to be judged by; None when the policies were refused. Raises InvalidInput."""
    here = Path()
    before = _in_force(here / IN_FORCE)
    root = unpack(job.files, here, here / IN_FORCE, here / UPLOADED)
    problems = _problems(root)
    if problems:
        _say(answers, Refused(problems=problems))
        return None
    after = load_policies(root)
    _say(answers, _accepted(before, after, root, job.at))
    return Replay(after, job.at, before, last_announcement(after, job.at))


def _in_force(directory: Path) -> PolicySet:
    try:
        return load_policies(directory)
    except InvalidInput as error:
        raise InvalidInput(f"the policies in force cannot be read now: {error.message}") from error


def _problems(directory: Path) -> tuple[Problem, ...]:
    """What is wrong with the policy files by themselves, of each the first."""
    found = []
    for path in sorted(directory.glob("*.yaml")):
        try:
            parse_policy(read_document(path))
        except InvalidInput as error:
            found.append(_problem(error))
    return tuple(found[:MOST_TOLD])


def _problem(error: InvalidInput) -> Problem:
    text = error.message.removeprefix(f"{UPLOADED}/")
    return Problem(text=cut(text), remedy=cut(error.remedy) if error.remedy else None)


def _accepted(before: PolicySet, after: PolicySet, root: Path, at: datetime) -> Accepted:
    changes = difference(before, after)
    remarks = (f"{read_document(root / one.file).where(one.place)}: {one.text}" for one in lint(after, at))
    return Accepted(
        policies=len(after.policies),
        waivers=len(after.waivers),
        differences=tuple(
            Difference(tone=one.tone, policy=one.policy, rule=one.rule, text=cut(one.text))
            for one in changes[:MOST_TOLD]
        ),
        all_differences=len(changes),
        remarks=tuple(cut(one.removeprefix(f"{UPLOADED}/")) for one in remarks)[:MOST_TOLD],
    )


def _judge(replay: Replay, lines: Iterable[bytes], answers: BinaryIO) -> None:
    count = unreadable = 0
    for raw in lines:
        count += 1
        try:
            line = _LINE.validate_json(raw)
        except ValidationError:
            unreadable += 1
        else:
            change = change_of(replay, line.evidence, line.decision)
            if change is not None:
                _say(answers, _changed(line, change))
        if count % _STEP == 0:
            _say(answers, Judged(count=count))
    _say(answers, Done(judged=count, unreadable=unreadable))


def _changed(line: Line, change: VerdictChange) -> Changed:
    return Changed(
        repository=line.repository,
        digest=line.digest,
        owner=cut(change.owner) if change.owner else None,
        before=change.before,
        after=change.after,
        told_only_before=change.mode_before is Mode.AUDIT,
        told_only_after=change.mode_after is Mode.AUDIT,
        lost=change.is_lost,
        since=change.since.isoformat() if change.since else None,
        reasons=tuple(
            Why(rule=one.rule, policy=one.policy, text=cut(one.text), remedy=cut(one.remedy))
            for one in change.reasons[:MOST_REASONS]
        ),
    )


def _say(answers: BinaryIO, answer: BaseModel) -> None:
    answers.write(answer.model_dump_json().encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
