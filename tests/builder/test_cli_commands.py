"""The commands are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from builder.cli import main
from builder.cli.commands import EVERYTHING, PLACES, load


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_every_command_is_where_it_is_said_to_be(name: str, place: str) -> None:
    assert load(place).name == name


def test_all_commands_are_listed() -> None:
    said = CliRunner().invoke(main, ["--help"], catch_exceptions=False).stdout
    listed = said.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "][
        : len(PLACES)
    ] == sorted(PLACES)


def test_a_command_that_is_not_there_is_a_mistake() -> None:
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2


@pytest.mark.parametrize("place", [EVERYTHING, PLACES["build"]])
def test_a_build_does_not_wait_for_what_talks_to_docker(place: str) -> None:
    program = f"import sys; from builder.cli.commands import load; load({place!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"docker", "requests", "sqlalchemy"} & set(loaded.split())
