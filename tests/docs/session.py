"""One bash for all commands of a page: what one leaves (directory, variables, processes) the next one finds."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND_SECONDS = 600.0
BACKGROUND_SECONDS = 120.0
END_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    printed: str
    exit_code: int


class Session:
    """A bash in `directory`. What is typed and printed is kept in `records`."""

    def __init__(self, directory: Path, records: Path, environment: Mapping[str, str]) -> None:
        self._records = records
        self._count = 0
        self._answers, answering = os.pipe()
        self._answer_to = answering
        records.mkdir(parents=True, exist_ok=True)
        log = (records / "bash.log").open("wb")
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(answering,),
            start_new_session=True,
        )
        log.close()
        os.close(answering)

    def run(self, typed: str, enough: Callable[[str], bool] = lambda _: True) -> Done:
        """Run what is typed. Where it goes on in the background, wait until it has printed `enough`."""
        self._count += 1
        command, output = (self._records / f"{self._count:03}.{what}" for what in ("command", "output"))
        command.write_text(typed + "\n")
        assert self._bash.stdin is not None
        line = f". {command} >{output} 2>&1 </dev/null; printf '%s\\n' $? >&{self._answer_to}\n"
        self._bash.stdin.write(line.encode())
        self._bash.stdin.flush()
        code = self._answer(typed)
        if typed.rstrip().endswith("&"):
            deadline = time.monotonic() + BACKGROUND_SECONDS
            while not enough(_read(output)) and time.monotonic() < deadline:
                time.sleep(0.05)
        return Done(_read(output), code)

    def _answer(self, typed: str) -> int:
        deadline = time.monotonic() + COMMAND_SECONDS
        answer = b""
        while not answer.endswith(b"\n"):
            heard = select.select([self._answers], [], [], 0.2)[0]
            part = os.read(self._answers, 64) if heard else b""
            answer += part
            if not part and (heard or self._bash.poll() is not None):
                raise AssertionError(f"it ended the shell: {typed}")
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end within {COMMAND_SECONDS:.0f} s: {typed}")
        return int(answer)

    def close(self) -> None:
        """End the bash and whatever it started."""
        assert self._bash.stdin is not None
        self._send(signal.SIGTERM)
        if not self._ended():
            self._send(signal.SIGKILL)
        self._bash.wait(timeout=END_SECONDS)
        self._bash.stdin.close()
        os.close(self._answers)

    def _ended(self) -> bool:
        """Whether nothing of the session is left, after a while."""
        deadline = time.monotonic() + END_SECONDS
        while self._send(0):
            if time.monotonic() > deadline:
                return False
            self._bash.poll()
            time.sleep(0.05)
        return True

    def _send(self, number: int) -> bool:
        """Send a signal to all of the session; whether there is anybody left."""
        try:
            os.killpg(self._bash.pid, number)
        except ProcessLookupError:
            return False
        return True


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


@contextmanager
def session(directory: Path, records: Path, environment: Mapping[str, str]) -> Iterator[Session]:
    """A session until the block ends."""
    one = Session(directory, records, environment)
    try:
        yield one
    finally:
        one.close()
