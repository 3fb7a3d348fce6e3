"""`mlbuild fix` on the shipped project that is refused, against the real index."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.workplace import ROOT, Workplace

pytestmark = pytest.mark.acceptance


def test_the_legacy_project_complies_in_its_package_rules_afterwards(workplace: Workplace) -> None:
    project = workplace.project("legacy-notebook", "legacy-to-fix")
    comments = [line for line in (project / "requirements.txt").read_text().splitlines() if line.startswith("#")]
    refused = denied(workplace, str(project))
    assert {"no-known-critical", "serving-no-known-high"} <= refused.keys()

    shown = workplace.mlbuild("-C", str(project), "fix")
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "pillow 9.4.0 -> 10.2.0" in shown.stdout
    assert "CVE-2023-50447" in shown.stdout
    assert "set `user: nonroot` in mlbuild.yaml" in shown.stdout
    original = ROOT / "examples" / "legacy-notebook" / "requirements.txt"
    assert (project / "requirements.txt").read_bytes() == original.read_bytes()

    done = workplace.mlbuild("--json", "-C", str(project), "fix", "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["complies"], found["applied"], found["blocked"]) == (True, True, [])
    left = denied(workplace, str(project))
    assert {one["rule"] for one in found["remaining"]} == left.keys()
    assert not left.keys() & {"no-known-critical", "serving-no-known-high"}
    text = (project / "requirements.txt").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == comments

    fixed = (project / "pylock.toml").read_bytes()
    assert workplace.mlbuild("-C", str(project), "lock").returncode == 0
    assert (project / "pylock.toml").read_bytes() == fixed
    afresh = workplace.root / "projects" / "legacy-afresh"
    shutil.copytree(project, afresh, ignore=shutil.ignore_patterns(".mlbuild", "pylock.toml"))
    assert workplace.mlbuild("-C", str(afresh), "lock").returncode == 0


def denied(workplace: Workplace, project: str) -> dict[str, object]:
    """The rules that refuse the project's lock."""
    done = workplace.mlbuild("--json", "-C", project, "check")
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return {
        one["rule"]: one["violations"] for one in json.loads(done.stdout)["outcomes"] if one["status"] == "denied"
    }
