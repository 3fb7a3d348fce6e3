"""A page of the documentation as what it asks its reader to do: commands to type and files to write, in order."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONSOLE = "console"
SCRIPTS = frozenset({"sh", "bash", "shell"})

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
_SCENE = re.compile(r"^<!-- run:\s(?P<script>.*?)\s*-->$", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*['\"]?(?P<end>\w+)")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed, and what the page shows below it; None where it shows nothing on purpose (a script)."""

    line: int
    typed: str
    shown: str | None
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class ShellBlock:
    """A block of commands. It has none where it only shows output, and then nobody can run it."""

    line: int
    commands: tuple[Command, ...]
    first: str = field(default="")
    """The block's first line, by which lists of blocks name it."""


@dataclass(frozen=True, slots=True)
class FileBlock:
    """A file that the reader writes, named by the block's `title`."""

    line: int
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Commands in a comment, which set the scene for what follows and are not shown."""

    line: int
    script: str


Part = ShellBlock | FileBlock | Scene


class UnclearPage(ValueError):
    """A page that cannot be read as one; says where."""


def read_page(path: Path) -> tuple[Part, ...]:
    """What the page at `path` asks for, in order."""
    return tuple(parts(path.read_text(encoding="utf-8")))


def parts(text: str) -> Iterator[Part]:
    """The parts of a page in Markdown."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            end = _end(lines, at, fence["fence"])
            body = textwrap.dedent("\n".join(lines[at + 1 : end]))
            if part := _block(at + 1, fence["info"], body):
                yield part
            at = end
        elif lines[at].startswith("<!-- run:"):
            end = next((one for one in range(at, len(lines)) if lines[one].endswith("-->")), None)
            if end is None:
                raise UnclearPage(f"line {at + 1}: the comment has no end")
            scene = _SCENE.match("\n".join(lines[at : end + 1]))
            assert scene is not None
            yield Scene(at + 1, scene["script"])
            at = end
        at += 1


def _end(lines: Sequence[str], start: int, fence: str) -> int:
    for at in range(start + 1, len(lines)):
        closing = lines[at].strip()
        if closing.startswith(fence) and not closing.strip(fence[0]):
            return at
    raise UnclearPage(f"line {start + 1}: the block has no end")


def _block(line: int, info: str, body: str) -> ShellBlock | FileBlock | None:
    language, *attributes = shlex.split(info) or [""]
    named = dict(one.partition("=")[::2] for one in attributes)
    if language == CONSOLE:
        return ShellBlock(line, tuple(_typed(line, body, int(named.get("exit", "0")))), body.partition("\n")[0])
    if language in SCRIPTS:
        return ShellBlock(line, (Command(line, body, None, int(named.get("exit", "0"))),), body.partition("\n")[0])
    if "title" in named:
        return FileBlock(line, named["title"], body + "\n")
    return None


def _typed(line: int, body: str, exit_code: int) -> Iterator[Command]:
    """The commands of a console block. The exit code is that of its last one; those before it succeed."""
    lines = body.split("\n")
    at = _next_prompt(lines, 0)
    while at < len(lines):
        typed = _command(lines[at:])
        end = _next_prompt(lines, at + len(typed))
        yield Command(
            line + 1 + at,
            "\n".join(typed).removeprefix(_PROMPT),
            "\n".join(lines[at + len(typed) : end]),
            exit_code if end == len(lines) else 0,
        )
        at = end


def _next_prompt(lines: Sequence[str], start: int) -> int:
    """Where the next command begins, or the end."""
    return next((at for at in range(start, len(lines)) if lines[at].startswith(_PROMPT)), len(lines))


def _command(lines: Sequence[str]) -> Sequence[str]:
    """The lines at the start of `lines` that are one command."""
    count = 1
    while lines[count - 1].endswith("\\") and count < len(lines):
        count += 1
    if heredoc := _HEREDOC.search("\n".join(lines[:count])):
        while count < len(lines) and lines[count - 1].strip() != heredoc["end"]:
            count += 1
    return lines[:count]
