from __future__ import annotations

import pytest
from click.testing import CliRunner

from compliance.errors import InvalidInput
from gate.cli import main
from gate.identity.permissions import Role
from gate.identity.users import read_users
from gate.settings import read_settings


@pytest.fixture
def run(tmp_path):
    def run(*arguments: str, given: str = "", **environment: str):
        return CliRunner().invoke(main, arguments, input=given, env={"MLGATE_DATA": str(tmp_path), **environment})

    return run


def test_a_user_is_added_with_a_password_from_standard_input(run, tmp_path):
    done = run("user", "add", "ci", "--role", "push", "--password-stdin", given="secret\n")
    assert done.exit_code == 0, done.output
    assert done.output == f"added ci (pusher) in {tmp_path / 'users.yaml'}\n"
    user = read_users(tmp_path / "users.yaml").users["ci"]
    assert (user.role, user.bcrypt[:7]) == (Role.PUSHER, "$2b$12$")


def test_a_password_that_is_typed_is_typed_twice_and_not_shown(run):
    done = run("user", "add", "ci", "--role", "push", given="secret\nsecret\n")
    assert done.exit_code == 0, done.output
    assert "secret" not in done.output


def test_users_are_listed_and_removed(run):
    run("user", "add", "pod", "--role", "pull", "--password-stdin", given="a\n")
    run("user", "add", "ci", "--role", "push", "--password-stdin", given="b\n")
    assert run("user", "list").output == "ci\tpusher\t**\npod\tpuller\t**\n"
    assert run("user", "remove", "pod").exit_code == 0
    assert run("user", "list").output == "ci\tpusher\t**\n"


def test_a_mistake_of_the_user_is_one_message_with_what_to_do_and_exit_code_2(run):
    done = run("user", "remove", "nobody")
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    done = run("serve", "--listen", "127.0.0.1:0")
    assert done.exit_code == 2
    assert "there is no user in" in done.output
    assert "-> Add one: mlgate user add NAME --role pusher" in done.output


def test_embedded_and_upstream_exclude_each_other(run):
    done = run("serve", "--embedded", MLGATE_UPSTREAM="https://registry.example.org")
    assert done.exit_code == 2
    assert "https://registry.example.org exclude each other" in done.output


@pytest.mark.parametrize("command", [(), ("serve",), ("user", "add")])
def test_help_shows_examples(run, command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert "Examples:" in done.output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "5000"),
        ("listen", "localhost:"),
        ("upstream", "registry.example.org"),
        ("upstream", "https://registry.example.org/v2/"),
        ("public_url", "ftp://gate.example.org"),
        ("judges", "0"),
        ("patience", "-1"),
        ("cache_bytes", "20 GB"),
    ],
)
def test_a_setting_that_cannot_be_accepted_is_named(name, value):
    with pytest.raises(InvalidInput, match=f"setting '{name}'") as caught:
        read_settings(**{name: value})
    assert f"MLGATE_{name.upper()}" in (caught.value.remedy or "")


def test_files_are_looked_for_in_the_data_directory(tmp_path):
    settings = read_settings(data=tmp_path)
    assert settings.users_file == tmp_path / "users.yaml"
    assert settings.keys_directory == tmp_path / "trusted-keys"
    assert read_settings(data=tmp_path, users=tmp_path / "u").users_file == tmp_path / "u"


def test_a_listening_address_is_a_host_and_a_port():
    settings = read_settings(listen="[::1]:5000")
    assert (settings.host, settings.port) == ("::1", 5000)


def test_a_command_that_is_not_there_is_answered_with_the_nearest(run):
    done = run("srve")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == "Error: No such command 'srve'. Did you mean 'serve'?"
