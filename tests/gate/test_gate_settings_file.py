"""Settings from a file, the environment and flags: which wins, and what is said of one that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from compliance.errors import InvalidInput
from gate.cli import main
from gate.cli.serve import serve_command
from gate.settings import Settings, configure, variable_of
from gate.settings_file import key_of

BAD = Path(__file__).parent / "data" / "settings"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """The environment is what a test says."""
    monkeypatch.delenv("MLGATE_CONFIG", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mlgate.yaml"
    path.write_text("judges: 3\ngrace: 7\nlisten: 0.0.0.0:5000\ntrusted-keys: keys\nupstream-password: hunter2\n")
    return path


def test_flags_win_over_the_environment_and_that_over_the_file(file, monkeypatch):
    monkeypatch.setenv("MLGATE_GRACE", "8")
    monkeypatch.setenv("MLGATE_LISTEN", "127.0.0.1:1")
    found = configure(file, listen="127.0.0.1:2")
    assert (found.settings.judges, found.settings.grace, found.settings.listen) == (3, 8, "127.0.0.1:2")
    assert found.origins["judges"] == f"{file}:1"
    assert found.origins["grace"] == "MLGATE_GRACE"
    assert found.origins["listen"] == "--listen"
    assert "patience" not in found.origins


def test_the_environment_can_name_the_file(file, monkeypatch):
    monkeypatch.setenv("MLGATE_CONFIG", str(file))
    assert configure().settings.judges == 3


def test_paths_in_the_file_begin_where_it_is(file):
    assert configure(file).settings.trusted_keys == file.parent / "keys"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_the_place_and_what_is_wrong(path):
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    with pytest.raises(InvalidInput) as caught:
        configure(path)
    assert caught.value.message.removeprefix(str(path)) == expected


def test_a_bad_variable_is_named(file, monkeypatch):
    monkeypatch.setenv("MLGATE_JUDGES", "many")
    with pytest.raises(InvalidInput) as caught:
        configure(file)
    assert "setting 'judges'" in caught.value.message
    assert caught.value.remedy == "Mend MLGATE_JUDGES."


def test_config_shows_every_setting_and_its_origin_but_no_secret(file, monkeypatch):
    monkeypatch.setenv("MLGATE_DATABASE", "postgresql://gate:hunter2@db/gate")
    monkeypatch.setenv("MLGATE_PORT", "tcp://10.0.0.1:5000")
    done = CliRunner().invoke(main, ["config", "--config", str(file), "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert set(shown) == {key_of(name) for name in Settings.model_fields}
    assert shown["judges"] == {"value": 3, "from": f"{file}:1"}
    assert shown["upstream-password"]["value"] == shown["database"]["value"] == "(hidden)"
    assert shown["patience"]["from"] == "default"
    text = CliRunner().invoke(main, ["config", "--config", str(file)])
    assert "hunter2" not in done.output + text.output
    assert "note: MLGATE_PORT is set, and is no setting of the gate" in text.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLGATE_UPSTREAM", "https://gate:hunter2@registry.example.org"),
        ("MLGATE_DATABASE", "postgresql://gate@db/gate?password=hunter2"),
    ],
)
def test_a_password_is_not_taken_where_it_would_be_shown(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as refused:
        configure()
    assert "hunter2" not in str(refused.value)


def test_every_setting_but_secrets_has_a_flag():
    """Command lines are seen by others on the machine."""
    options = {option for param in serve_command.params for option in param.opts}
    flagged = {name for name in Settings.model_fields if f"--{key_of(name)}" in options}
    assert set(Settings.model_fields) - flagged == {"upstream_password", "database", "metrics_token"}
    assert len(options) == sum(len(param.opts) for param in serve_command.params)
