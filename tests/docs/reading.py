"""Reads a page as its reader would: writes its files, types its commands, and holds what is printed against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.page import Command, FileBlock, Part, Scene, ShellBlock
from tests.docs.printed import Values, difference
from tests.docs.session import Done, session


class UntruePage(AssertionError):
    """A page says what is not so; says where."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is read."""

    directory: Path
    """What the reader is in at the beginning."""
    records: Path
    """Where what is typed and printed is kept."""
    environment: Mapping[str, str]
    names: Sequence[tuple[str, str]] = field(default=())
    """What the page calls something, and what it is called here. The first that fits counts."""

    def here(self, text: str) -> str:
        for shown, name in self.names:
            text = text.replace(shown, name)
        return text

    def shown(self, text: str) -> str:
        for shown, name in self.names:
            text = text.replace(name, shown)
        return text


def read(name: str, parts: Iterable[Part], place: Place, left_out: Iterable[str] = ()) -> None:
    """Read a page from its beginning to its end, without the blocks whose first line is in `left_out`.

    Raises UntruePage at the first thing that is not so.
    """
    values = Values()
    with session(place.directory, place.records, place.environment) as shell:
        for part in parts:
            match part:
                case FileBlock():
                    path = place.directory / shell.run("pwd").printed.strip() / part.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(place.here(values.put_into(part.text)), encoding="utf-8")
                case Scene():
                    done = shell.run(place.here(values.put_into(part.script)))
                    if done.exit_code:
                        raise UntruePage(f"{name}:{part.line}: {part.script}\n{done.printed}")
                case ShellBlock() if part.first not in left_out:
                    for command in part.commands:
                        _type(name, command, place, values, shell.run)


def _type(
    name: str, command: Command, place: Place, values: Values, run: Callable[[str, Callable[[str], bool]], Done]
) -> None:
    def wrong(printed: str) -> str | None:
        return None if command.shown is None else difference(command.shown, place.shown(printed), values)

    def enough(printed: str) -> bool:
        return wrong(printed) is None

    done = run(place.here(values.put_into(command.typed)), enough)
    reason = wrong(done.printed)
    if done.exit_code != command.exit_code:
        reason = f"exit code {done.exit_code}, not {command.exit_code}"
    if reason:
        raise UntruePage(
            f"{name}:{command.line}: {reason}\n$ {command.typed}\n"
            f"--- the page shows\n{command.shown or ''}\n--- it prints\n{place.shown(done.printed)}"
        )
