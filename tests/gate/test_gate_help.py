"""Every command says what it does, with examples."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from gate.cli import main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize(
    ("name", "command"), list(commands(main)), ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_command_has_examples_and_says_what_its_options_are(name, command):
    text = command.help or ""
    assert f"mlgate {name}" in text.partition("Examples:")[2]
    assert all(option.help for option in command.params if isinstance(option, click.Option))
