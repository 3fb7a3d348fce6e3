"""What was admitted, judged by policies that are not in force yet: from a gate, over HTTP, by mlbuild."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from gate.identity.permissions import Role
from gate.identity.users import set_user
from tests.gate.conftest import NOT_ROOT, PASSWORD, RunningGate

pytestmark = pytest.mark.acceptance

STRICTER = """\
name: more
rules:
  - id: has-an-owner
    check: required-labels
    with: {labels: {owner: "*"}}
    effect: deny
    why: Somebody has to be told.
    fix: Set the label owner.
"""


@pytest.fixture
def gate(start_gate, make_image) -> RunningGate:
    """A gate with three images in two repositories, and somebody who reviews one of them."""
    running = start_gate()
    users = running.root / "users.yaml"
    set_user(users, "sec", Role.SECURITY, PASSWORD, rounds=4)
    set_user(users, "some", Role.SECURITY, PASSWORD, ("team/**",), rounds=4)
    with running.client() as client:
        for repository, target in (("serving/a", "v1"), ("serving/a", "v2"), ("team/b", "v1")):
            make_image().push(client, repository, target)
    return running


def lines(gate: RunningGate, user: str, path: str = "/api/evidence") -> list[dict[str, dict[str, object]]]:
    """All that a reader is given, whatever the size of a page."""
    found = []
    with httpx.Client(base_url=f"http://{gate.host}", auth=(user, PASSWORD), timeout=60) as client:
        while path:
            answer = client.get(path)
            assert answer.headers["Content-Type"].startswith("application/x-ndjson")
            found += [json.loads(line) for line in answer.text.splitlines()]
            path = answer.links.get("next", {}).get("url", "")
    return found


def policy(gate: RunningGate, tmp_path: Path, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`mlbuild policy`, logged in as `user`."""
    (tmp_path / "docker").mkdir(exist_ok=True)
    token = b64encode(f"{user}:{PASSWORD}".encode()).decode()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {gate.host: {"auth": token}}}))
    return subprocess.run(
        [sys.executable, "-m", "builder", "policy", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker"), "COLUMNS": "200"},
    )


def impact(gate: RunningGate, tmp_path: Path, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return policy(gate, tmp_path, user, "impact", *arguments)


def test_reviewers_get_the_evidence_of_their_repositories_a_page_at_a_time(gate):
    everything = lines(gate, "sec")
    assert [line["evidence"]["subject"]["repository"] for line in everything] == ["serving/a"] * 2 + ["team/b"]
    assert lines(gate, "sec", "/api/evidence?limit=1") == everything
    assert lines(gate, "some") == everything[2:]
    for user in ("pod", "ci"):
        answer = httpx.get(f"http://{gate.host}/api/evidence", auth=(user, PASSWORD), timeout=60)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")
    assert httpx.get(f"http://{gate.host}/api/evidence", timeout=60).status_code == 401
    for query in ("limit=0", "limit=1001", "repository=a&digest=b"):
        answer = httpx.get(f"http://{gate.host}/api/evidence?{query}", auth=("sec", PASSWORD), timeout=60)
        assert answer.status_code == 400


def test_policies_are_tried_on_what_a_gate_has_admitted(gate, tmp_path):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "any.yaml").write_text(NOT_ROOT)
    done = impact(gate, tmp_path, "sec", str(policies), "--gate", gate.host)
    assert done.returncode == 0, done.stderr
    assert "0 of 3 images would change verdict" in done.stdout

    (policies / "more.yaml").write_text(STRICTER)
    done = impact(gate, tmp_path, "sec", str(policies), "--gate", gate.host)
    assert done.returncode == 1, done.stderr
    assert "3 of 3 images would change verdict" in done.stdout
    assert "REFUSED serving/a@sha256:" in done.stdout
    assert "1 image" in impact(gate, tmp_path, "some", str(policies), "--gate", gate.host).stdout

    done = impact(gate, tmp_path, "pod", str(policies), "--gate", gate.host)
    assert done.returncode == 2
    assert "shows you no evidence: pod may review nothing here" in done.stderr
    assert "the role security" in done.stderr
    assert impact(gate, tmp_path, "sec", str(policies)).returncode == 2
    assert impact(gate, tmp_path, "sec", str(policies), "--gate", "127.0.0.1:1").returncode == 3


def test_where_a_gate_has_no_image_nothing_would_change_but_who_may_not_ask_is_told_so(start_gate, tmp_path):
    running = start_gate()
    set_user(running.root / "users.yaml", "sec", Role.SECURITY, PASSWORD)
    new = tmp_path / "policies"
    new.mkdir()
    (new / "any.yaml").write_text(NOT_ROOT)
    commands = {
        "no verdict would change\n": ("impact", str(new)),
        "There is no image to judge again: no verdict would change.\n": ("review", str(new), str(new)),
    }
    for said, command in commands.items():
        done = policy(running, tmp_path, "sec", *command, "--gate", running.host)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        done = policy(running, tmp_path, "pod", *command, "--gate", running.host)
        assert done.returncode == 2, done.stdout
        assert "pod may review nothing here" in done.stderr
