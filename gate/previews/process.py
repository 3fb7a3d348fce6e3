"""A process that tries policies out, fed with evidence from here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from compliance.errors import Unavailable
from gate.previews.messages import ANSWER, Accepted, Answer, Done, Job, Refused

LONGEST: Final = 1 << 20
"""Bytes of an answer, of which each text is cut."""

_KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
"""All that the process gets of the gate's environment, which has secrets in it."""


class Evidence(Protocol):
    """What images were judged on."""

    async def count(self) -> int: ...

    def lines(self) -> AsyncIterator[bytes]: ...


async def try_out(directory: Path, job: Job, evidence: Evidence, take: Callable[[Answer], None]) -> None:
    """Have a process do the job in `directory`, and give each of its answers to `take`.

    The process ends with this, however it ends. Raises Unavailable when it does not do what it should.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing is imported from where files were uploaded to
        "-m",
        "gate.previews.worker",
        str(directory),
        stdin=PIPE,
        stdout=PIPE,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
        limit=LONGEST,
        start_new_session=True,
    )
    try:
        await _talk(process, job, evidence, take)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _talk(process: Process, job: Job, evidence: Evidence, take: Callable[[Answer], None]) -> None:
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both were asked for
    process.stdin.write(job.model_dump_json().encode() + b"\n")
    feeding: asyncio.Task[None] | None = None
    try:
        async for answer in _answers(process.stdout):
            if isinstance(answer, Accepted) and feeding is None:
                feeding = asyncio.create_task(_feed(process.stdin, evidence))
            if isinstance(answer, Done) and feeding is not None:
                await feeding  # the end of what there was, not of what could be read
            take(answer)
            if isinstance(answer, Done | Refused):
                return
    finally:
        if feeding is not None:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
    raise Unavailable("these policies took more memory or time than they may", remedy="Try them with mlbuild.")


async def _answers(stdout: asyncio.StreamReader) -> AsyncIterator[Answer]:
    try:
        while raw := await stdout.readline():
            yield ANSWER.validate_json(raw)
    except ValueError as error:  # also what pydantic raises, and what is raised for a line that is too long
        raise Unavailable("the process that tries policies out answered something else") from error


async def _feed(stdin: asyncio.StreamWriter, evidence: Evidence) -> None:
    try:
        async for line in evidence.lines():
            stdin.write(line)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # the process has ended, and its last answer, or that there is none, says why
    finally:
        stdin.close()
