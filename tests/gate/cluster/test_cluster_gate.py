"""A real gate that is asked over TLS, as an API server asks it, about images that were pushed to it."""

from __future__ import annotations

import json
import re
import ssl
import time
from pathlib import Path

import httpx
import pytest

from compliance.oci.registry import RegistryError
from tests.gate.cluster.authority import Authority
from tests.gate.conftest import RunningGate, prepare

pytestmark = pytest.mark.acceptance

POLICY = """\
name: serving
applies-to: {stages: [serving], repositories: [serving/**]}
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
"""
POD = json.loads((Path(__file__).parent / "data" / "validate-serving" / "pod-admitted-by-digest.json").read_text())


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def gate(tmp_path_factory, authority):
    root = tmp_path_factory.mktemp("gate")
    certificate, key = authority.issue("webhook")
    (root / "cluster.yaml").write_text(
        f"listen: 127.0.0.1:0\ncertificate: {certificate}\nkey: {key}\nclient-ca: {authority.file}\n"
        "registries: [gate.example.com]\n"
    )
    running = prepare(root, {"serving.yaml": POLICY})
    # Clients are sent to the token service there.
    running.options = ("--cluster", str(root / "cluster.yaml"), "--public-url", f"http://{running.host}")
    yield running.start()
    running.end()


@pytest.fixture
def api_server(gate, authority):
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*authority.issue("api-server"))
    with httpx.Client(base_url=address(gate), verify=context, timeout=60) as client:
        yield client


def address(gate: RunningGate) -> str:
    return f"https://localhost:{re.search(r'webhook for Kubernetes at https://127.0.0.1:([0-9]+)', gate.log)[1]}"


def ask(client: httpx.Client, *images: str, stage: str = "serving") -> dict:
    question = json.loads(json.dumps(POD))
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    question["request"]["object"]["spec"]["containers"] = containers
    answer = client.post(f"/cluster/validate/{stage}", params={"timeout": "5s"}, json=question)
    assert answer.status_code == 200
    return answer.json()["response"]


def test_what_was_admitted_may_run_and_what_was_refused_is_told_why(gate, api_server, make_image):
    good, bad = make_image(), make_image(user="root")
    with gate.client() as client:
        good.push(client, "serving/iris", "v1")
        with pytest.raises(RegistryError, match="not-root"):
            bad.push(client, "serving/iris", "v2")
    assert ask(api_server, f"gate.example.com/serving/iris@{good.digest}")["allowed"]
    refused = ask(api_server, f"gate.example.com/serving/iris@{bad.digest}")
    assert refused["status"]["message"].startswith(
        f"container 'c0', gate.example.com/serving/iris@{bad.digest}: REFUSED serving/iris: not-root: "
    )
    assert re.search(rf"Report: http://{gate.host}/api/decisions/[0-9a-f]+$", refused["status"]["message"])


def test_an_answer_takes_milliseconds(gate, api_server, make_image):
    image = make_image()
    with gate.client() as client:
        image.push(client, "serving/fast", "v1")
    name = f"gate.example.com/serving/fast@{image.digest}"

    def usual() -> float:
        took = []
        for _ in range(50):
            begin = time.perf_counter()
            ask(api_server, name)
            took.append(time.perf_counter() - begin)
        return sorted(took)[25]

    assert any(usual() < 0.1 for _ in range(5)), "also where the machine is busy for a while"


def test_who_has_no_certificate_is_not_answered(gate, authority):
    context = ssl.create_default_context(cafile=authority.file)
    with (
        httpx.Client(base_url=address(gate), verify=context, timeout=60) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.post("/cluster/validate/serving", json=POD)


def test_the_gate_answers_clusters_at_no_other_address(gate, api_server):
    with httpx.Client(base_url=f"http://{gate.host}", timeout=60) as client:
        assert client.post("/cluster/validate/serving", json=POD).status_code == 404
    assert api_server.get("/v2/").status_code == 404
    assert api_server.get("/metrics").status_code == 404


def test_without_a_public_url_the_gate_does_not_start(tmp_path, gate):
    running = prepare(tmp_path / "other", {"serving.yaml": POLICY}, ("--cluster", str(gate.root / "cluster.yaml")))
    try:
        with pytest.raises(AssertionError, match="Set public-url"):
            running.start()
    finally:
        running.end()
