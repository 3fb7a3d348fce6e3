"""What kubectl, the real one, shows of the webhook's answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.docs.page import ShellBlock, read_page
from tests.docs.printed import Values, difference
from tests.gate.cluster.api_server import api_server

pytestmark = pytest.mark.acceptance

DATA = Path(__file__).parent / "data" / "validate-serving"
PAGE = Path(__file__).parents[3] / "docs" / "platform-engineer.md"
DENIED = 'admission webhook "serving.images.mlbuild.dev" denied the request: '


def create(
    site, tmp_path, name: str, stage: str = "serving", webhook=None, file: str = "it.json"
) -> subprocess.CompletedProcess[str]:
    """What kubectl says when it creates the object of a question, from `file`."""
    document = json.loads((DATA / f"{name}.json").read_text())["request"]["object"]
    (tmp_path / file).write_text(json.dumps(document))
    (tmp_path / "kubeconfig").write_text("apiVersion: v1\nkind: Config\n")
    with api_server(webhook or site.ask, f"validate/{stage}") as url:
        return subprocess.run(
            ["kubectl", "--server", url, "create", "--validate=false", "-f", file],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def test_what_is_admitted_is_created_with_a_warning_where_there_is_one(unchanged_site, tmp_path):
    done = create(unchanged_site, tmp_path, "pod-warned")
    assert (done.returncode, done.stdout) == (0, "pod/iris created\n")
    assert done.stderr.startswith(
        "Warning: container 'web': may run until 2026-11-29 12:00 UTC: REFUSED serving/warned: no-known-critical: "
    )


@pytest.mark.parametrize("name", ["deployment-refused", "pod-denied-since", "cronjob-denied-since"])
def test_what_is_refused_says_why_what_to_do_and_where_the_report_is(unchanged_site, tmp_path, name):
    done = create(unchanged_site, tmp_path, name)
    expected = json.loads((DATA / f"{name}.answer.json").read_text())["response"]["status"]["message"]
    assert done.returncode == 1
    assert done.stderr == f'Error from server (Forbidden): error when creating "it.json": {DENIED}{expected}\n'


def test_in_a_stage_that_is_audited_it_is_a_warning(unchanged_site, tmp_path):
    done = create(unchanged_site, tmp_path, "pod-from-another-registry", stage="scratch")
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: not enforced: container 'web', nginx:1.27: docker.io is not the gate")


def test_a_gate_that_is_down_is_a_refusal(unchanged_site, tmp_path):
    done = create(unchanged_site, tmp_path, "pod-admitted-by-digest", webhook=nobody)
    assert done.returncode == 1
    assert "(InternalError)" in done.stderr
    assert 'failed calling webhook "serving.images.mlbuild.dev"' in done.stderr


def nobody(path: str, body: bytes) -> httpx.Response:
    """Asks where nothing listens."""
    return httpx.post(f"http://127.0.0.1:9/cluster/{path}", content=body, timeout=60)


ON_THE_PAGE = {
    "admitted.yaml": ("pod-admitted-by-digest", "serving", None),
    "refused.yaml": ("deployment-refused", "serving", None),
    "unknown-digest.yaml": ("pod-with-an-unknown-digest", "serving", None),
    "other-stage.yaml": ("pod-admitted-for-another-stage", "serving", None),
    "other-registry.yaml": ("pod-from-another-registry", "serving", None),
    "found-later.yaml": ("pod-warned", "serving", None),
    "ended.yaml": ("pod-denied-since", "serving", None),
    "audited.yaml": ("pod-from-another-registry", "scratch", None),
    "gate-down.yaml": ("pod-admitted-by-digest", "serving", nobody),
}
"""What the files of the page are: the question in data/, the stage, and who answers."""


def blocks_of_the_page() -> dict[str, str]:
    """What the page shows for each file that is created on it."""
    commands = [command for part in read_page(PAGE) if isinstance(part, ShellBlock) for command in part.commands]
    created = [one for one in commands if one.typed.startswith("kubectl create -f ")]
    return {one.typed.removeprefix("kubectl create -f "): one.shown or "" for one in created}


def test_the_page_shows_every_case():
    assert blocks_of_the_page().keys() == ON_THE_PAGE.keys()


@pytest.mark.parametrize("file", ON_THE_PAGE)
def test_the_page_shows_what_kubectl_says(file, unchanged_site, tmp_path):
    question, stage, webhook = ON_THE_PAGE[file]
    done = create(unchanged_site, tmp_path, question, stage, webhook, file)
    assert difference(blocks_of_the_page()[file], done.stderr + done.stdout, Values()) is None, done.stderr


def test_the_question_on_the_page_has_the_answer_below_it(unchanged_site):
    """In the page's words the API server leaves out what is not looked at; the answer is whole."""
    question, answer = re.findall(r"^```json\n(\{.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[-2:]
    answered = unchanged_site.ask("validate/serving", question.encode())
    assert answered.json() == json.loads(answer)
