"""The commands are imported when they are asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from builder.cli import main
from builder.cli.commands import EVERYTHING, PLACES, Commands, Place, load
from compliance.command_group import STOPPED

LONG = 1000


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_every_command_is_where_it_is_said_to_be(name: str, place: Place) -> None:
    assert load(place).name == name


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_summary_is_that_of_the_command(place: Place) -> None:
    assert place.summary == load(place).get_short_help_str(LONG)


def test_all_commands_are_listed() -> None:
    said = CliRunner().invoke(main, ["--help"], catch_exceptions=False).stdout
    listed = said.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "][
        : len(PLACES)
    ] == sorted(PLACES)


def test_what_is_run_in_an_image_keeps_its_own_options() -> None:
    words = ["-e", "PORT=9000", ".", "python", "-c", "print(1)", "-e"]
    given = load(PLACES["run"]).make_context("run", words).params
    assert (given["image"], given["command"]) == (".", ("python", "-c", "print(1)", "-e"))
    assert given["env"] == ("PORT=9000",)


def test_a_shell_completes_commands() -> None:
    asked = {"_MLBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "mlbuild pol", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from builder.cli import main; main(prog_name='mlbuild')"]
    told = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert told.stdout == "plain,policy\n", told.stderr


def test_ctrl_c_is_no_verdict() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    told = CliRunner().invoke(Commands("mlbuild", invoke_without_command=True, callback=interrupted))
    assert (told.exit_code, told.stderr) == (STOPPED, "\nstopped\n")


def test_a_command_that_is_not_there_is_a_mistake() -> None:
    told = CliRunner().invoke(main, ["zzzzzz"])
    assert (told.exit_code, told.stderr.splitlines()[-1]) == (2, "Error: No such command 'zzzzzz'.")
    told = CliRunner().invoke(main, ["chek"])
    assert (told.exit_code, told.stderr.splitlines()[-1]) == (
        2,
        "Error: No such command 'chek'. Did you mean 'check'?",
    )


@pytest.mark.parametrize("place", [EVERYTHING, PLACES["build"]])
def test_a_build_does_not_wait_for_what_talks_to_docker_or_a_network(place: Place) -> None:
    loaded = modules_of(f"import builder.cli.{place.module}")
    assert not {"docker", "requests", "sqlalchemy", "httpx", "sh", "pydantic_settings", "debian.deb822"} & loaded


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_wait_for_no_command(option: str) -> None:
    program = f"from builder.cli import main; main([{option!r}], standalone_mode=False)"
    assert not {"builder.workshop", "builder.pipeline", "builder.cli.project", "pydantic"} & modules_of(program)


def modules_of(program: str) -> set[str]:
    """What has been imported by the end of `program`."""
    told = f"{program}\nimport sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())
