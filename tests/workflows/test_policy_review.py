"""`mlbuild policy review`: one text on a change of policies, and one comment that is written again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.cli import main
from builder.cli.review import MARKER
from builder.github_comment import MOST, PullRequest
from compliance.archive import save_judged
from compliance.errors import InvalidInput, Unavailable
from compliance.policy.evaluate import evaluate
from compliance.policy.loader import load_policies
from tests.compliance.policy.policy_evidence import given_evidence
from tests.workflows.github_service import TOKEN, GitHubService, running

POLICIES = Path(__file__).parents[2] / "policies"
NOW = datetime.now(UTC)
OF_TODAY = {"databases": {"trivy": NOW.date().isoformat()}, "base": {"end-of-life": "9999-01-01"}}
LOW = {
    "id": "CVE-2026-1",
    "package": "fastapi",
    "severity": "low",
    "fixed": ["1.0"],
    "published": "2025-11-20",
}


@pytest.fixture
def github() -> Iterator[GitHubService]:
    with running() as service:
        yield service


@pytest.fixture
def workflow(github: GitHubService, tmp_path: Path) -> dict[str, str]:
    """The environment of a job for pull request 7."""
    (tmp_path / "event.json").write_text(json.dumps({"action": "opened", "pull_request": {"number": 7}}))
    return {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "octo/iris",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_TOKEN": TOKEN,
        "MLBUILD_CACHE": str(tmp_path / "cache"),
    }


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The shipped policies with a stricter rule, and evidence of an image that only these refuse."""
    shutil.copytree(POLICIES, tmp_path / "changed")
    file = tmp_path / "changed" / "serving.yaml"
    file.write_text(
        file.read_text().replace("[high, critical], only-fixable", "[low, high, critical], only-fixable")
    )
    found = given_evidence(vulnerabilities=[LOW], **OF_TODAY)
    save_judged(tmp_path / "evidence", found, evaluate(load_policies(POLICIES), found, NOW))
    return tmp_path / "changed"


def mlbuild(environment: dict[str, str], *arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments], env=environment)
    assert result.exit_code == code, result.output
    return result


def test_a_review_tells_tests_differences_and_the_images_that_are_lost(workflow, changed, tmp_path):
    arguments = ("--github", "--quiet", "policy", "review", POLICIES, changed, "--evidence", tmp_path / "evidence")
    told = mlbuild(workflow, *arguments).stdout
    assert "58 of 58 policy tests passed; 0 remarks by lint." in told
    assert "1 of 1 image would change verdict, **1 would no longer be let in**." in told
    assert "| stricter | serving | serving-no-known-high | severities: adds low |" in told
    assert "CVE-2026-1 (low) in fastapi" in told
    assert (tmp_path / "summary.md").read_text().rstrip() == told.rstrip()


def test_a_failing_policy_test_is_told_and_fails(workflow, changed):
    file = changed / "tests" / "serving.yaml"
    file.write_text(file.read_text().replace("verdict: admitted", "verdict: refused", 1))
    assert "### Tests that fail" in mlbuild(workflow, "policy", "review", POLICIES, changed, code=1).stdout
    annotated = mlbuild(workflow, "--github", "policy", "test", changed, code=1).stderr
    assert "::error file=" in annotated
    assert "serving.yaml,line=" in annotated


def test_the_comment_is_written_again_and_not_repeated(workflow, changed, github):
    for number in range(120):
        github.add_comment(f"comment {number}", "User")
    github.add_comment(f"{MARKER}\nwhat somebody wrote", "User")
    mlbuild(workflow, "policy", "review", POLICIES, changed, "--comment")
    mlbuild(workflow, "policy", "review", POLICIES, POLICIES, "--comment")
    assert github.written == ["POST", "PATCH"]
    assert github.comments[120]["body"] == f"{MARKER}\nwhat somebody wrote"
    assert len(github.comments) == 122
    assert github.comments[121]["body"].startswith(f"{MARKER}\n## What this does to the policies")
    assert "No rule and no waiver changed." in github.comments[121]["body"]


def test_a_long_comment_is_cut_at_a_line(workflow, github):
    PullRequest.of_workflow(workflow).comment(MARKER, "0123456789\n" * 10_000)
    body = github.comments[0]["body"]
    assert MOST < len(body) + 80 < 65_536
    assert body.endswith("0123456789\n\nThe rest does not fit; it is in the job's summary.\n")


def test_without_a_pull_request_or_the_permission_nothing_is_commented(workflow, github, tmp_path):
    with pytest.raises(Unavailable, match="GitHub answers 403") as refused:
        PullRequest.of_workflow({**workflow, "GITHUB_TOKEN": "another"}).comment(MARKER, "text")
    assert "pull-requests: write" in (refused.value.remedy or "")
    with pytest.raises(InvalidInput, match="GITHUB_TOKEN not set"):
        PullRequest.of_workflow({**workflow, "GITHUB_TOKEN": ""})
    (tmp_path / "event.json").write_text("{}")
    with pytest.raises(InvalidInput, match="tells of no pull request"):
        PullRequest.of_workflow(workflow)
    assert github.written == []


def test_what_does_not_load_is_annotated_at_its_line(workflow: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text("name: a\nruels: []\n")
    told = mlbuild(workflow, "--github", "policy", "lint", tmp_path / "p", code=2).stderr
    assert f"::error file={tmp_path}/p/a.yaml,line=2::".removeprefix("::") in told
    assert "did you mean 'rules'?" in told
