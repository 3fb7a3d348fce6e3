"""`mlbuild why` against a real gate: the whole decision, for clients that showed only a status."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryError
from tests.gate.conftest import PASSWORD

pytestmark = pytest.mark.acceptance


@pytest.fixture
def why(gate, tmp_path: Path):
    """Runs the command, logged in as one who may pull."""
    login = base64.b64encode(f"pod:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {gate.host: {"auth": login}}}))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "builder", "why", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "DOCKER_CONFIG": str(tmp_path)},
            check=False,
        )

    return run


def test_a_refusal_is_told_in_full_by_tag_and_by_digest(gate, make_image, why):
    image = make_image(user="0")
    with gate.client() as client, pytest.raises(RegistryError):
        image.push(client, "team/why", "refused")
    for target in (":refused", f"@{image.digest}"):
        told = why(f"{gate.host}/team/why{target}")
        assert told.returncode == 1, told.stderr
        assert "REFUSED" in told.stdout
        assert "not-root" in told.stdout
        assert "set `user: nonroot`" in told.stdout


def test_a_refused_push_over_an_admitted_tag_is_told_by_its_digest(gate, make_image, why):
    good, bad = make_image(), make_image(user="0")
    with gate.client() as client:
        good.push(client, "team/why", "both")
        with pytest.raises(RegistryError):
            bad.push(client, "team/why", "both")
    assert json.loads(why("--json", f"{gate.host}/team/why:both").stdout)["verdict"] == "admitted"
    told = why("--json", f"{gate.host}/team/why@{bad.digest}")
    assert (told.returncode, json.loads(told.stdout)["verdict"]) == (1, "refused")


def test_what_was_never_judged_is_said_to_be_unknown(gate, why):
    told = why(f"{gate.host}/team/why@{Digest.of(b'never')}")
    assert told.returncode == 2
    assert "no push of it was refused" in told.stderr
    assert why("team/why:1").returncode == 2
