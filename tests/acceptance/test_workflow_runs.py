"""Every `run:` of the workflows and actions, for real: against a gate that takes the jobs' identity tokens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.docs.page import ShellBlock, read_page
from tests.docs.printed import Values, difference
from tests.gate.identity.oidc_issuer import ACCESS, AUDIENCE
from tests.gate.identity.oidc_issuer import running as running_issuer
from tests.workflows.github_service import CLAIMS, TOKEN, GitHubService
from tests.workflows.github_service import running as running_github
from tests.workflows.workflow_steps import ROOT, Run, read_yaml, repository
from tests.workplace import MLGATE, Workplace, listening

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

WORKFLOWS = ROOT / ".github" / "workflows"
PULL_REQUESTS = """\
      - when: {{repository_owner_id: "9919", ref: "refs/pull/*/merge"}}
        role: security
        repositories: ["**"]
"""
JOBS = ACCESS.replace("{{repository_owner}}/**", "serving/**") + PULL_REQUESTS
LENIENT = """\
name: lenient
rules:
  - id: has-a-base
    check: base-approved
    effect: warn
    why: It is good to know what an image stands on.
    fix: Name a curated base.
"""


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubService]:
    with running_issuer() as issuer, running_github(issuer) as service:
        yield service


@pytest.fixture(scope="module")
def host(workplace: Workplace, github: GitHubService, iris: Path, tmp_path_factory) -> Iterator[str]:
    """A gate with the shipped policies that trusts the workplace's key, and the jobs' tokens."""
    root = tmp_path_factory.mktemp("workflow-gate")
    (root / "access.yaml").write_text(JOBS.format(url=github.issuer.url, audience=AUDIENCE))
    users = str(root / "users.yaml")
    add = [*MLGATE, "user", "add", "cluster", "--role", "puller", "--password-stdin", "--users", users]
    subprocess.run(add, input="cluster-secret", text=True, check=True)
    command = [
        *(*MLGATE, "serve", "--embedded", "--listen", "127.0.0.1:0", "--data", str(root / "gate")),
        *("--access", str(root / "access.yaml"), "--users", users),
        *("--trusted-keys", str(workplace.root / "trusted-keys")),
    ]
    with (root / "log").open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=workplace.environment)
    try:
        host = listening(process, root / "log")
        key = subprocess.run(
            [*MLGATE, "key", "show", "--data", str(root / "gate")], capture_output=True, check=True
        )
        (workplace.root / "gate-public.pem").write_bytes(key.stdout)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=120)


@pytest.fixture
def job(workplace: Workplace, github: GitHubService, host: str, tmp_path: Path):
    """Makes a job of the workflow `name` on the checkouts, with its inputs."""

    def make(name: str, checkouts: dict[str, Path], **inputs: object) -> Run:
        definition = read_yaml(WORKFLOWS / name)
        machine = tmp_path / f"machine-of-{Path(name).stem}"
        workspace = machine / "workspace"
        workspace.mkdir(parents=True)
        (machine / "runner").mkdir()
        (machine / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
        dispatch = (definition.get("on") or definition[True])["workflow_call"]["inputs"]
        contexts: dict[str, object] = {
            "runner.temp": str(machine / "temp"),
            "github.workspace": str(workspace),
            "github.token": TOKEN,
            "github.event_name": "push",
            "github.repository": "octo/iris",
            "github.event.pull_request.head.repo.full_name": "octo/iris",
            "secrets.signing-key": (workplace.root / "key.pem").read_text(),
        }
        environment = {
            **os.environ,
            "MLBUILD_CACHE": str(workplace.root / "cache"),
            "DOCKER_CONFIG": str(machine / "docker"),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/identity?api-version=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": TOKEN,
            "GITHUB_API_URL": github.url,
            "GITHUB_EVENT_PATH": str(machine / "event.json"),
            "GITHUB_REPOSITORY": "octo/iris",
        }
        environment.pop("PYTHONPATH", None)
        run = Run(workspace, machine / "runner", environment, contexts, checkouts)
        for key, one in dispatch.items():
            run.contexts[f"inputs.{key}"] = inputs.get(key.replace("-", "_"), run.value(one.get("default", "")))
        (work,) = definition["jobs"].values()
        for key, value in (work.get("env") or {}).items():
            environment[key] = run.contexts[f"env.{key}"] = str(run.value(value))
        run.steps(work["steps"])
        return run

    return make


def transcripts() -> list[str]:
    """The logs of a job that passes and of one that is blocked, as the page for CI pipelines shows them."""
    page = (ROOT / "docs" / "ci-pipeline.md").read_text()
    return re.findall(r"^```text\n(=== Install\n.*?)^```$", page, re.DOTALL | re.MULTILINE)


def as_on_github(run: Run, host: str) -> str:
    """The log of a job with the gate's name and GitHub's directories in the place of those of the test."""
    machine = str(run.runner.parent)
    return (
        run.output.replace(host, "gate.example.com")
        .replace(f"{machine}/temp", "/home/runner/_work/_temp")
        .replace(f"{machine}/docker", "/home/runner/.docker")
    )


def test_a_project_that_complies_is_built_checked_pushed_and_verified(job, workplace, host, tmp_path):
    project = repository(ROOT / "examples" / "iris-serving", tmp_path / "iris")
    shutil.copy(workplace.root / "gate-public.pem", project / "gate-public.pem")
    run = job("mlbuild.yml", {".": project}, gate=host, audience=AUDIENCE, gate_key="gate-public.pem", tag="1.0")
    assert not run.failed, run.output
    assert run.ran == [
        "Install",
        "Take the signing key",
        "Build and check",
        "Log in to the gate",
        "Push",
        "Verify",
        "Forget the signing key",
    ]
    assert run.contexts["steps.mlbuild.outputs.reference"].startswith(f"{host}/serving/iris@sha256:")
    assert f"VERIFIED {run.contexts['steps.mlbuild.outputs.reference']}" in run.output
    assert "::error" not in run.output
    assert run.summary.startswith("## ADMITTED serving/iris@sha256:")
    assert len(run.sarif) == 1
    assert not (tmp_path / "machine-of-mlbuild" / "temp" / "mlbuild" / "key.pem").exists()
    passed, _ = transcripts()
    assert difference(passed, as_on_github(run, host), Values()) is None, run.output


def test_the_page_shows_what_a_login_says(workplace, github, host):
    """Of a token for the gate, and of one for another audience."""
    user = workplace.with_settings(
        MLBUILD_GATE=host,
        DOCKER_CONFIG="docker",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{github.url}/identity?api-version=1",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN=TOKEN,
    )
    page = read_page(ROOT / "docs" / "ci-pipeline.md")
    commands = [command for part in page if isinstance(part, ShellBlock) for command in part.commands]
    logins = [one for one in commands if one.typed.startswith("mlbuild --github login --oidc --audience ")]
    assert len(logins) == 2
    for login, code in zip(logins, (0, 2), strict=True):
        done = user.mlbuild(*login.typed.split()[1:], cwd=workplace.root)
        printed = (done.stderr + done.stdout).replace(host, "gate.example.com")
        assert done.returncode == code, printed
        assert difference(login.shown or "", printed, Values()) is None, printed


def test_a_project_that_does_not_comply_is_blocked_with_annotations_on_its_lines(job, host, tmp_path):
    """The annotations stand at the requirement and at the key of the spec that brought the culprit."""
    checkout = tmp_path / "checkout"
    below = repository(ROOT / "examples" / "legacy-notebook", checkout / "teams" / "vision")
    shutil.move(below / ".git", checkout / ".git")
    run = job("mlbuild.yml", {".": checkout}, gate=host, audience=AUDIENCE, project="teams/vision")
    assert run.failed
    assert run.ran == ["Install", "Take the signing key", "Build and check", "Forget the signing key"]
    pillow = _line(below / "requirements.txt", "pillow==9.4.0")
    root = _line(below / "mlbuild.yaml", "user: root")
    assert f"::error file=teams/vision/requirements.txt,line={pillow},title=REFUSED" in run.output
    assert f"::error file=teams/vision/mlbuild.yaml,line={root},title=REFUSED" in run.output
    assert "Process completed with exit code 1" in run.output
    assert run.summary.startswith("## REFUSED serving/legacy-notebook")
    places = [
        location["physicalLocation"]["artifactLocation"]["uri"]
        for result in run.sarif[0]["runs"][0]["results"]
        for location in result["locations"]
        if "physicalLocation" in location
    ]
    assert "teams/vision/requirements.txt" in places
    _, blocked = transcripts()
    assert difference(blocked, as_on_github(run, host), Values()) is None, run.output


def test_what_only_the_gate_refuses_is_annotated_by_the_gates_decision(job, host, tmp_path):
    project = repository(ROOT / "examples" / "legacy-notebook", tmp_path / "legacy")
    (project / "rules").mkdir()
    (project / "rules" / "lenient.yaml").write_text(LENIENT)
    run = job("mlbuild.yml", {".": project}, gate=host, audience=AUDIENCE, policies="rules", sarif=False)
    assert run.failed
    assert run.ran[-2:] == ["Push", "Forget the signing key"]
    pillow = _line(project / "requirements.txt", "pillow==9.4.0")
    assert f"::error file=requirements.txt,line={pillow},title=REFUSED" in run.output
    assert f"Report: http://{host}/api/decisions/" in run.output


def test_a_change_of_policies_is_commented_once(job, github, host, tmp_path):
    """What it would do is tried on what the gate has."""
    project = repository(ROOT / "examples" / "iris-serving", tmp_path / "iris")
    pushed = job("mlbuild.yml", {".": project}, gate=host, audience=AUDIENCE)
    assert not pushed.failed, pushed.output
    before = repository(ROOT / "policies", tmp_path / "before" / "policies").parent
    after = repository(ROOT / "policies", tmp_path / "after" / "policies").parent
    serving = after / "policies" / "serving.yaml"
    serving.write_text(serving.read_text().replace("grace-days: 14", "grace-days: 7"))
    cases = after / "policies" / "tests" / "serving.yaml"
    cases.write_text(cases.read_text().replace("published: 2026-11-09", "published: 2026-11-16"))
    github.claims["ref"] = "refs/pull/7/merge"
    run = job("policies.yml", {"after": after, "before": before}, gate=host, audience=AUDIENCE)
    assert not run.failed, run.output
    assert run.ran == ["Install", "Lint", "Policy tests", "Log in to the gate", "Say what it would do"]
    github.claims["ref"] = CLAIMS["ref"]
    (comment,) = github.comments
    assert "| stricter | serving | serving-no-known-high | grace-days: 7, was 14 |" in comment["body"]
    assert "of 1 image would change verdict" in comment["body"]
    assert "grace-days: 7, was 14" in run.summary


def scripts_of(name: str) -> list[str]:
    """What the ready file of another CI runs, in order."""
    text = (ROOT / "examples" / "ci" / name).read_text()
    if name == "Jenkinsfile":
        return [script for script in re.findall(r"sh '([^']*)'", text) if script.startswith("mlbuild")]
    document = YAML(typ="safe").load(text)
    if name == "gitlab-ci.yml":
        script: list[str] = document["image"]["script"]
        return script
    return [step["script"] for step in document["spec"]["steps"]]


def run_scripts(
    scripts: list[str], project: Path, environment: dict[str, str], places: dict[str, str]
) -> tuple[int, str]:
    """Run `scripts`, each as a program of its own, up to the first that fails: its exit code, and what was said.

    `places` are what there is here for the paths that the scripts name.
    """
    said = ""
    program = project.parent / "script"
    for script in scripts:
        for written, here in places.items():
            script = script.replace(written, here)
        program.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        done = subprocess.run(
            [program],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said += done.stdout
        if done.returncode:
            return done.returncode, said
    return 0, said


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "Jenkinsfile", "tekton-task.yaml"])
@pytest.mark.parametrize("example", ["iris-serving", "legacy-notebook"])
def test_the_ready_files_of_other_cis_run(name, example, workplace, github, host, tmp_path):
    project = repository(ROOT / "examples" / example, tmp_path / "project")
    shutil.copy(workplace.root / "gate-public.pem", project / "gate-public.pem")
    assert github.issuer is not None
    token = github.issuer.token({**CLAIMS, "aud": AUDIENCE})
    (tmp_path / "token").write_text(token)
    environment = {
        **workplace.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLBUILD_GATE": host,
        "MLBUILD_GATE_KEY": "gate-public.pem",
        "MLBUILD_KEY": str(tmp_path / "state" / "key.pem"),
        "MLBUILD_TRUSTED_KEYS": str(tmp_path / "state" / "trusted-keys"),
        "DOCKER_CONFIG": str(tmp_path / "state" / "docker"),
        "MLBUILD_ID_TOKEN": token,
        "SIGNING_KEY": str(workplace.root / "key.pem"),
        "REPOSITORY": "serving/iris",
        "REFERENCE": f"{host}/serving/iris:7",
        **dict.fromkeys(("TAG", "BUILD_NUMBER", "CI_COMMIT_SHORT_SHA"), "7"),
    }
    places = {
        "/etc/mlbuild/signing-key.pem": environment["SIGNING_KEY"],
        "/var/run/secrets/gate/token": str(tmp_path / "token"),
        "$(results.verified.path)": str(tmp_path / "verified"),
    }
    scripts = scripts_of(name)
    code, said = run_scripts(scripts, project, environment, places)
    if example == "legacy-notebook":
        assert code == 1, said
        assert "REFUSED serving/legacy-notebook" in said
        assert "logged in" not in said
        return
    assert code == 0, said
    assert f"ADMITTED {host}/serving/iris@sha256:" in said
    assert "VERIFIED" in said or json.loads((tmp_path / "verified").read_text())["verified"]
    (verify,) = [script for script in scripts if "mlbuild verify" in script]
    stranger = shutil.copy(next((workplace.root / "trusted-keys").iterdir()), tmp_path / "stranger.pem")
    code, said = run_scripts([verify], project, {**environment, "MLBUILD_GATE_KEY": str(stranger)}, places)
    assert code == 1, f"what another key signed is verified:\n{said}"
    assert "signed by a key that is not trusted" in said


def _line(path: Path, text: str) -> int:
    return path.read_text().splitlines().index(text) + 1
