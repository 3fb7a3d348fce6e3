"""The workflows and the action are what actionlint and zizmor would have them be, and pin what they use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflows.workflow_steps import ROOT, read_yaml

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))


def test_actionlint_finds_nothing():
    done = subprocess.run([BIN / "actionlint", *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_what_is_wrong(tmp_path):
    (tmp_path / "w.yml").write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - rum: x\n"
    )
    done = subprocess.run([BIN / "actionlint", tmp_path / "w.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr


def test_zizmor_finds_nothing():
    command = [BIN / "zizmor", "--offline", "--no-progress", ROOT / ".github"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_what_is_wrong(tmp_path):
    (tmp_path / "w.yml").write_text(
        "on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
        "    steps:\n      - run: echo ${{ github.event.issue.title }}\n"
    )
    command = [BIN / "zizmor", "--offline", "--no-progress", tmp_path / "w.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "template-injection" in done.stdout


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_actions_of_others_are_pinned_by_commit_and_nothing_is_granted_to_all_jobs(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    for action, comment in used:
        assert action.startswith("$/") or re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", action), action
        assert action.startswith("$/") or re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    if path in WORKFLOWS:
        assert read_yaml(path)["permissions"] == {}
