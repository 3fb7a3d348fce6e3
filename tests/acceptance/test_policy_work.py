"""A check on a real project: its reports point at its lines, and what was known can be replayed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.workplace import ROOT, Workplace

pytestmark = pytest.mark.acceptance

OWNED = """
  - id: serving-has-an-owner
    check: required-labels
    with: {{labels: {{owner: "?*"}}}}
    effect: deny
    enforce-from: {day}
    why: Somebody must be woken.
    fix: Set the label.
"""


def test_reports_point_at_the_lines_of_the_project(workplace: Workplace, tmp_path: Path) -> None:
    project = workplace.project("legacy-notebook", "reported")
    files = [tmp_path / f"report{ending}" for ending in (".sarif", ".html", ".xml", ".json", ".md")]
    arguments = [part for file in files for part in ("--report", str(file))]
    done = workplace.mlbuild("-C", str(project), "check", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert all(file.stat().st_size > 1000 for file in files)
    results = json.loads(files[0].read_text())["runs"][0]["results"]
    places = {
        (place["artifactLocation"]["uri"], place.get("region", {}).get("startLine"))
        for result in results
        for place in [result["locations"][0]["physicalLocation"]]
    }
    requirements = (project / "requirements.txt").read_text().splitlines()
    pillow = next(number for number, line in enumerate(requirements, 1) if line.lower().startswith("pillow"))
    assert ("requirements.txt", pillow) in places
    assert "config.py" in {uri for uri, _ in places}
    assert not any(uri.startswith("/") for uri, _ in places)


def test_an_announced_rule_is_seen_coming(workplace: Workplace, iris: Path, tmp_path: Path) -> None:
    evidence, policies = tmp_path / "evidence", tmp_path / "policies"
    day = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    done = workplace.mlbuild("-C", str(iris), "check", "--save-evidence", str(evidence), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "admitted"
    shutil.copytree(ROOT / "policies", policies)
    with (policies / "serving.yaml").open("a") as file:
        file.write(OWNED.format(day=day))
    impact = ("policy", "impact", str(policies), "--evidence", str(evidence), "--old", str(ROOT / "policies"))
    lost = workplace.mlbuild(*impact, "--json")
    assert lost.returncode == 1, lost.stdout + lost.stderr
    (change,) = json.loads(lost.stdout)["changes"]
    assert (change["after"], change["since"]) == ("refused", day)
    then = workplace.with_settings(MLBUILD_POLICIES=str(policies))
    now = then.mlbuild("-C", str(iris), "check", "--json")
    assert now.returncode == 0, now.stdout + now.stderr
    later = then.mlbuild("-C", str(iris), "check", "--at", day, "--json")
    assert later.returncode == 1, later.stdout + later.stderr
    assert json.loads(later.stdout)["at"] == f"{day}T00:00:00+00:00"
