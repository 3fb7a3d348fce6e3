from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.authentication import Challenge
from compliance.oci.credentials import Credentials
from compliance.oci.transport import is_loopback


def config(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return path


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("key", ["gate:5000", "http://gate:5000", "https://gate:5000/v2/"])
def test_a_login_is_found_under_its_host(tmp_path, key):
    path = config(tmp_path, {"auths": {"other:5000": {}, key: {"auth": encoded("ci:se:cret")}}, "HttpHeaders": {}})
    assert Credentials.from_docker_config("gate:5000", path) == Credentials("ci", "se:cret")


def test_no_login_is_none(tmp_path):
    assert Credentials.from_docker_config("gate:5000", tmp_path / "none.json") is None
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, {})) is None
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, {"auths": {"gate:5000": {}}})) is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"auths": []},
        {"auths": {"gate:5000": {"auth": "not base64!"}}},
        {"auths": {"gate:5000": {"auth": encoded("no-colon")}}},
    ],
)
def test_a_file_that_cannot_be_used_is_a_mistake(tmp_path, document):
    with pytest.raises(InvalidInput):
        Credentials.from_docker_config("gate:5000", config(tmp_path, document))


def test_a_password_never_shows():
    assert "secret" not in repr(Credentials("ci", "secret"))


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Puts a credential helper that does what the given shell line does on PATH."""

    def install(line: str) -> dict[str, dict[str, str]]:
        program = tmp_path / "docker-credential-ofthetest"
        program.write_text(f"#!/bin/sh\nread registry\n{line}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        return {"credHelpers": {"gate:5000": "ofthetest"}}

    return install


def test_a_credential_helper_is_asked(tmp_path, helper):
    document = helper("""printf '{"ServerURL":"%s","Username":"ci","Secret":"secret"}' "$registry" """)
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, document)) == Credentials("ci", "secret")
    assert Credentials.from_docker_config("other:5000", config(tmp_path, document)) is None


def test_a_credential_helper_that_knows_nothing_is_no_login(tmp_path, helper):
    document = helper("echo credentials not found in native keychain; exit 1")
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, document)) is None


def test_a_credential_helper_that_speaks_in_riddles_or_is_missing_is_unavailable(tmp_path, helper):
    with pytest.raises(Unavailable, match="answered nothing usable"):
        Credentials.from_docker_config("gate:5000", config(tmp_path, helper("echo sesame")))
    with pytest.raises(Unavailable, match="docker-credential-nowhere"):
        Credentials.from_docker_config("gate:5000", config(tmp_path, {"credsStore": "nowhere"}))


def test_an_identity_token_is_a_session_whoever_keeps_it(tmp_path, helper):
    session = Credentials("<token>", "abc", session=True)
    document = {"auths": {"gate:5000": {"auth": encoded("oidc:"), "identitytoken": "abc"}}}
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, document)) == session
    helped = helper("""echo '{"Username":"<token>","Secret":"abc"}'""")
    assert Credentials.from_docker_config("gate:5000", config(tmp_path, helped)) == session


def test_a_challenge_is_read_with_its_quotes():
    challenge = Challenge.parse('Bearer realm="https://a/t?x=1,2",service="s", scope="repository:a/b:pull,push"')
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://a/t?x=1,2",
        "service": "s",
        "scope": "repository:a/b:pull,push",
    }


@pytest.mark.parametrize(
    ("registry", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("registry.example.org", False),
        ("localhost.example.org", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_only_this_machine_is_spoken_to_in_plain_text(registry, loopback):
    assert is_loopback(registry) is loopback
