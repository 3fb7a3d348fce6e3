"""Logs, metrics and readiness of a gate that runs."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.gate.registry_process import eventually

pytestmark = pytest.mark.acceptance

USER = ("pod", "correct horse")


def lines(gate, **wanted):
    """Lines with these members, which come a moment after the answer that they are about."""

    def found() -> list[dict[str, object]]:
        whole = gate.log.rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if wanted.items() <= line.items()]

    eventually(lambda: found() != [])
    return found()


def test_every_answer_has_an_id_that_finds_its_lines_in_the_log(gate):
    answer = httpx.get(
        f"http://{gate.host}/v2/team/none/manifests/v1", auth=USER, headers={"X-Request-Id": "ours-1"}, timeout=60
    )
    id_ = answer.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", id_)
    assert answer.json()["errors"][0]["detail"] == f"request {id_}"
    (line,) = lines(gate, request=id_)
    assert line["logger"] == "gate.access"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v2/team/none/manifests/v1", 404)
    assert (line["user"], line["repository"], line["caller_id"]) == ("pod", "team/none", "ours-1")
    assert line["ms"] >= 0
    assert line["bytes_out"] == len(answer.content)


def test_a_push_is_logged_with_its_verdict_and_by_whom(gate, make_image):
    with gate.client() as client, pytest.raises(Exception, match="not-root"):
        make_image(user="0").push(client, "team/rooted", "v1")
    (line,) = lines(gate, logger="gate.access", verdict="refused", repository="team/rooted")
    assert line["user"] == "ci"
    assert line["mode"] == "enforce"
    about = [entry["logger"] for entry in lines(gate, request=line["request"])]
    assert "gate.admission" in about


def test_no_secret_is_in_the_log(gate, make_image):
    with gate.client() as client:
        make_image().push(client, "team/fine", "v1")
    httpx.get(f"http://{gate.host}/v2/", headers={"Authorization": "Bearer stolen-token"}, timeout=60)
    httpx.get(f"http://{gate.host}/v2/", auth=("ci", "not the password"), timeout=60)
    for secret in ("correct horse", "Y2k6Y29ycmVjdCBob3JzZQ", "stolen-token", "not the password", "_upload="):
        assert secret not in gate.log


def test_metrics_are_for_users_and_name_nobody(gate, make_image):
    assert httpx.get(f"http://{gate.host}/metrics", timeout=60).status_code == 401
    with gate.client() as client:
        make_image().push(client, "team/counted", "v1")
    answer = httpx.get(f"http://{gate.host}/metrics", auth=USER, timeout=60)
    assert answer.status_code == 200
    assert 'mlgate_verdicts_total{mode="enforce",verdict="admitted"}' in answer.text
    assert 'mlgate_manifests{kind="image",standing="pullable"}' in answer.text
    assert re.search(r'^mlgate_blob_bytes_total\{direction="in"\} [1-9]', answer.text, re.MULTILINE)
    assert "mlgate_rules_readable 1.0" in answer.text
    for name in ("team", "counted", "pod", "sha256"):
        assert name not in answer.text


def test_metrics_can_have_an_address_and_a_token_of_their_own(module_gate, gate, tmp_path):
    policies = {path.name: path.read_text() for path in gate.policies.iterdir()}
    environment = {"MLGATE_METRICS_LISTEN": "127.0.0.1:0", "MLGATE_METRICS_TOKEN": "scrape-me"}
    gate = module_gate(tmp_path, policies, environment=environment)
    found = re.search(r"metrics at (http://127\.0\.0\.1:\d+)", gate.log)
    assert found is not None
    assert httpx.get(f"http://{gate.host}/metrics", auth=USER, timeout=60).status_code == 404
    assert httpx.get(f"{found[1]}/metrics", timeout=60).status_code == 401
    assert (
        httpx.get(f"{found[1]}/metrics", headers={"Authorization": "Bearer scrape-me"}, timeout=60).status_code
        == 200
    )
    assert httpx.get(f"{found[1]}/healthz", timeout=60).json() == {"status": "ok"}
    assert httpx.get(f"{found[1]}/v2/", auth=USER, timeout=60).status_code == 404
    assert "scrape-me" not in gate.log


def test_readiness_says_what_it_looked_at(gate):
    answer = httpx.get(f"http://{gate.host}/readyz", timeout=60).json()
    assert set(answer["checks"]) == {"accepting", "database", "registry", "scanner", "rules"}
    assert answer["checks"]["database"] == answer["checks"]["registry"] == "ok"
