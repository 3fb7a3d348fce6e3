"""What was let in by audit is readable for as long as the repository is audited, and not a moment longer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Index
from tests.gate.conftest import NOT_ROOT, PASSWORD, RunningGate

pytestmark = pytest.mark.acceptance

AUDITED = NOT_ROOT.replace("name: any\n", 'name: any\nmode: audit\napplies-to: {repositories: ["sandbox/**"]}\n')
ENFORCED = AUDITED.replace("mode: audit\n", "")


@pytest.fixture
def gate(start_gate) -> RunningGate:
    return start_gate(policies={"any.yaml": AUDITED})


@pytest.fixture
def pod(gate) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{gate.host}/v2/sandbox/one", auth=("pod", PASSWORD), timeout=60) as client:
        yield client


def statuses(pod: httpx.Client, target: str) -> tuple[int, int]:
    """What a HEAD and a GET of a manifest answer."""
    return pod.head(f"/manifests/{target}").status_code, pod.get(f"/manifests/{target}").status_code


def test_what_would_be_refused_is_gone_once_policies_enforce_and_what_complies_stays(gate, pod, make_image):
    good, bad = make_image(), make_image(user="0")
    index = Index(manifests=(good.descriptor, bad.descriptor)).to_json()
    with gate.client() as client:
        good.push(client, "sandbox/one", "good")
        bad.push(client, "sandbox/one", "bad")
        client.put_manifest("sandbox/one", "all", index, OCI_INDEX)
    layer = bad.manifest.layers[0].digest
    for policy, bad_answers, tags, of_layer in (
        (AUDITED, (200, 200), ["all", "bad", "good"], 200),
        (ENFORCED, (404, 403), ["good"], 404),
        (AUDITED, (200, 200), ["all", "bad", "good"], 200),
        ("no: policy", (200, 200), ["all", "bad", "good"], 200),
    ):
        (gate.policies / "any.yaml").write_text(policy)
        for target in ("bad", bad.digest, "all"):
            assert statuses(pod, target) == bad_answers
        assert statuses(pod, "good") == (200, 200)
        assert pod.get("/tags/list").json()["tags"] == tags
        assert pod.get(f"/blobs/{layer}").status_code == of_layer
        assert pod.get(f"/blobs/{good.manifest.layers[0].digest}").status_code == 200


def test_an_index_of_what_was_only_audited_is_refused_once_policies_enforce(gate, make_image):
    bad = make_image(user="0")
    with gate.client() as client:
        bad.push(client, "sandbox/one", "bad")
    (gate.policies / "any.yaml").write_text(ENFORCED)
    raw = Index(manifests=(bad.descriptor,)).to_json()
    with httpx.Client(base_url=f"http://{gate.host}/v2/sandbox/one", auth=("ci", PASSWORD), timeout=60) as pusher:
        answer = pusher.put("/manifests/all", content=raw, headers={"Content-Type": OCI_INDEX})
        assert answer.status_code == 403
        assert "children-admitted: " in answer.json()["errors"][0]["message"]
        again = pusher.put("/manifests/bad", content=bad.raw, headers={"Content-Type": OCI_MANIFEST})
        assert again.status_code == 403
        assert "not-root: " in again.json()["errors"][0]["message"]


def test_an_index_whose_image_was_deleted_is_there_only_where_policies_audit(gate, pod, make_image):
    image = make_image()
    raw = Index(manifests=(image.descriptor,)).to_json()
    with gate.client() as client:
        image.push(client, "sandbox/one", "image")
        client.put_manifest("sandbox/one", "all", raw, OCI_INDEX)
        client.delete_manifest("sandbox/one", image.digest)
        assert statuses(pod, "all") == (200, 200)
        (gate.policies / "any.yaml").write_text(ENFORCED)
        assert statuses(pod, "all") == (404, 404)
        image.push(client, "sandbox/one", "image")
        assert statuses(pod, "all") == (200, 200)
