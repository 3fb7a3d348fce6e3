"""What kubectl, the real one, shows of the webhook's answers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.gate.cluster.api_server import api_server

pytestmark = pytest.mark.acceptance

DATA = Path(__file__).parent / "data" / "validate-serving"
DENIED = 'admission webhook "serving.images.mlbuild.dev" denied the request: '


def create(site, tmp_path, name: str, stage: str = "serving", webhook=None) -> subprocess.CompletedProcess[str]:
    document = json.loads((DATA / f"{name}.json").read_text())["request"]["object"]
    (tmp_path / "it.json").write_text(json.dumps(document))
    (tmp_path / "kubeconfig").write_text("apiVersion: v1\nkind: Config\n")
    with api_server(webhook or site.ask, f"validate/{stage}") as url:
        return subprocess.run(
            ["kubectl", "--server", url, "create", "--validate=false", "-f", "it.json"],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "kubeconfig")},
            capture_output=True,
            text=True,
            timeout=60,
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
    def nobody(path: str, body: bytes) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:9/cluster/{path}", content=body)

    done = create(unchanged_site, tmp_path, "pod-admitted-by-digest", webhook=nobody)
    assert done.returncode == 1
    assert "(InternalError)" in done.stderr
    assert 'failed calling webhook "serving.images.mlbuild.dev"' in done.stderr
