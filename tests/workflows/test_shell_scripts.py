"""Every shell script of the repository, and those in workflows, actions and files for other CIs, by shellcheck."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.workflows.workflow_steps import ROOT, read_yaml

SHEBANG = re.compile(rb"#!(?:/usr)?/bin/(?:env )?(?:ba)?sh\b")
FILES = [Path(name) for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()]
EXAMPLES = ROOT / "examples" / "ci"


def shellcheck(*scripts: Path, shell: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["shellcheck", "--norc", *([f"--shell={shell}"] if shell else []), *map(str, scripts)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def embedded() -> dict[str, tuple[str, str]]:
    """The shell and the text of scripts that stand in other files, by where they stand."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((ROOT / ".github" / "actions").glob("*/action.yml")):
        for place, step in enumerate(read_yaml(path)["runs"]["steps"]):
            if "run" in step:
                found[f"{path.parent.name}-{place}"] = (step["shell"], step["run"])
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for name, job in read_yaml(path)["jobs"].items():
            for place, step in enumerate(job.get("steps", ())):
                if "run" in step:
                    found[f"{path.stem}-{name}-{place}"] = ("bash", step["run"])
    for step in read_yaml(EXAMPLES / "tekton-task.yaml")["spec"]["steps"]:
        found[f"tekton-{step['name']}"] = ("", re.sub(r"\$\([a-z.]+\)", "value", step["script"]))
    found["gitlab"] = ("sh", "\n".join(read_yaml(EXAMPLES / "gitlab-ci.yml")["image"]["script"]))
    for place, script in enumerate(re.findall(r"sh '([^']*)'", (EXAMPLES / "Jenkinsfile").read_text())):
        found[f"jenkins-{place}"] = ("sh", script)
    return found


def test_shellcheck_finds_nothing_in_the_scripts():
    scripts = [path for path in FILES if (ROOT / path).is_file() and SHEBANG.match((ROOT / path).read_bytes())]
    assert {Path("scripts/setup.sh"), Path("examples/demo.sh"), Path(".ci/run")} <= set(scripts)
    done = shellcheck(*scripts)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("shell", "script"), embedded().values(), ids=embedded())
def test_shellcheck_finds_nothing_in_scripts_within_other_files(shell, script, tmp_path):
    (tmp_path / "script").write_text(script)
    done = shellcheck(tmp_path / "script", shell=shell or None)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_what_is_wrong(tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\nrm -rf $1/*\n")
    assert "SC2086" in shellcheck(tmp_path / "script").stdout
