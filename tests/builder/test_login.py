"""What `mlbuild login` ends with: who is turned down has to mend something, and nothing is kept of it."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner, Result

from builder.cli import main
from compliance.oci.credentials import Credentials
from tests.compliance.oci.conftest import (  # noqa: F401 - fixtures
    StartRegistry,
    TokenService,
    start_registry,
    token_service,
)

pytestmark = pytest.mark.acceptance


def log_in(tmp_path: Path, *arguments: str, given: str = "", token: str = "") -> Result:
    environment = {
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "MLBUILD_CACHE": str(tmp_path / "cache"),
        "MLBUILD_ID_TOKEN": token,
    }
    return CliRunner().invoke(main, ["login", *arguments], input=given, env=environment)


def kept(tmp_path: Path, host: str) -> Credentials | None:
    return Credentials.from_docker_config(host, tmp_path / "docker" / "config.json")


def test_a_wrong_password_is_bad_input(start_registry: StartRegistry, tmp_path: Path) -> None:  # noqa: F811
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(rounds=4)).decode()
    (tmp_path / "htpasswd").write_text(f"ci:{hashed}\n")
    host = start_registry({"htpasswd": {"realm": "the test", "path": str(tmp_path / "htpasswd")}})
    by_password = (host, "--username", "ci", "--password-stdin")
    wrong = log_in(tmp_path, *by_password, given="wrong\n")
    assert (wrong.exit_code, f"log in to {host}: " in wrong.stderr) == (2, True), wrong.stderr
    assert kept(tmp_path, host) is None
    assert log_in(tmp_path, *by_password, given="secret\n").exit_code == 0
    assert kept(tmp_path, host) == Credentials("ci", "secret")


def test_a_token_that_is_turned_down_is_bad_input(
    start_registry: StartRegistry,  # noqa: F811
    token_service: TokenService,  # noqa: F811
    tmp_path: Path,
) -> None:
    root, service = tmp_path / "root.pem", {"service": "the-registry", "issuer": "the-test"}
    host = start_registry({"token": {"realm": token_service.url, "rootcertbundle": str(root), **service}})
    token_service.credentials = Credentials("oidc", "the token of this job")
    wrong = log_in(tmp_path, host, "--oidc", token="the token of another job")
    assert (wrong.exit_code, f"log in to {host}: " in wrong.stderr) == (2, True), wrong.stderr
    assert kept(tmp_path, host) is None
    assert log_in(tmp_path, host, "--oidc", token="the token of this job").exit_code == 0


def test_a_registry_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    gone = "127.0.0.1:1"
    assert log_in(tmp_path, gone, "--username", "ci", "--password-stdin", given="secret\n").exit_code == 3
    assert log_in(tmp_path, gone, "--oidc", token="a token").exit_code == 3
