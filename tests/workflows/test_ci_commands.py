"""What a job asks for its identity, and specs checked before a commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.cli import main
from builder.identity_token import identity_token
from compliance.attest.keys import generate_key, import_key
from compliance.errors import InvalidInput, Unavailable
from compliance.oci.credentials import Credentials, remember
from tests.gate.identity.oidc_issuer import running as running_issuer
from tests.workflows.github_service import TOKEN, running

AUDIENCE = "https://gate.example.com"


@pytest.fixture
def job() -> Iterator[dict[str, str]]:
    """The environment of a job on GitHub that may ask for an identity token."""
    with running_issuer() as issuer, running(issuer) as github:
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/identity?api-version=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
        }


def test_a_file_comes_before_the_variable_and_that_before_github(job, tmp_path):
    (tmp_path / "token").write_text("from-the-file\n")
    given = {**job, "MLBUILD_ID_TOKEN": "from-the-variable"}
    assert identity_token(AUDIENCE, given, tmp_path / "token") == "from-the-file"
    assert identity_token(AUDIENCE, given) == "from-the-variable"
    assert identity_token(AUDIENCE, job).count(".") == 2


def test_a_job_without_a_token_is_told_how_to_get_one(job, tmp_path):
    with pytest.raises(InvalidInput, match="no identity token") as missing:
        identity_token(AUDIENCE, {})
    assert "id-token: write" in (missing.value.remedy or "")
    with pytest.raises(Unavailable, match="gives this job no identity token"):
        identity_token(AUDIENCE, {**job, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "another"})
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InvalidInput, match="holds no token"):
        identity_token(AUDIENCE, {}, tmp_path / "empty")


def test_a_session_is_remembered_as_docker_does(tmp_path):
    session = Credentials("<token>", "secret", session=True)
    remember("gate.example.com", session, tmp_path / "config.json")
    assert Credentials.from_docker_config("gate.example.com", tmp_path / "config.json") == session


def test_a_signing_key_is_taken_once_and_only_if_it_is_one(tmp_path):
    generate_key(tmp_path / "made.pem", tmp_path / "public.pem")
    pem = (tmp_path / "made.pem").read_bytes()
    import_key(pem, tmp_path / "taken.pem", tmp_path / "trusted" / "taken.pem")
    assert (tmp_path / "taken.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "trusted" / "taken.pem").read_bytes() == (tmp_path / "public.pem").read_bytes()
    with pytest.raises(InvalidInput, match="never overwritten"):
        import_key(pem, tmp_path / "taken.pem", tmp_path / "other.pem")
    with pytest.raises(InvalidInput, match="is no private key"):
        import_key(b"", tmp_path / "new.pem", tmp_path / "new-public.pem")


def test_every_spec_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    good, typo, gone = (tmp_path / name for name in ("good.yaml", "typo.yaml", "gone.yaml"))
    good.write_text("image: a/b\nbase: c\ndependencies: [rich]\n")
    typo.write_text("image: a/b\nbase: c\ndependencies: [rich]\nstgae: serving\n")
    gone.write_text("image: a/b\nbase: c\nrequirements: [none.txt]\n")
    assert CliRunner().invoke(main, ["spec", str(good)]).exit_code == 0
    told = CliRunner().invoke(main, ["--github", "spec", str(good), str(typo), str(gone)])
    assert told.exit_code == 2
    assert "did you mean 'stage'?" in told.stderr
    assert "typo.yaml,line=4::" in told.stderr
    assert "none.txt" in told.stderr
