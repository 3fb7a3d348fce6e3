"""Every command says what it does, with examples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gate.cli import main
from gate.cli.main import COMMANDS, load


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
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


@pytest.mark.parametrize(("place", "summary"), COMMANDS.values(), ids=COMMANDS)
def test_what_the_list_says_of_a_command_is_what_its_own_help_begins_with(place, summary):
    first = " ".join((load(place).help or "").partition("\n\n")[0].split())
    assert first.startswith(summary.rstrip("."))


def test_the_list_of_commands_waits_for_none_of_them():
    asked = "import sys; from gate.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("Usage")[2].split()
    assert "click" in loaded
    assert not {"sqlalchemy", "pydantic", "fastapi", "gate.settings"} & set(loaded)
