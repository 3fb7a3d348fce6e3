"""What must admit nothing: altered blobs, a gate that is killed, a registry or a scanner that is not there."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Index
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.policy.decision import Verdict
from gate.store import Store
from tests.gate.interrupted import PUBLISHES, StoppingProxy, push_into_the_void
from tests.gate.registry_process import Registry, eventually

pytestmark = pytest.mark.acceptance

SCANNED = """\
name: any
rules:
  - id: no-critical
    check: vulnerabilities
    with: {severities: [critical]}
    effect: deny
    why: Open doors.
    fix: Mend them.
"""


def test_a_blob_altered_in_the_registry_before_the_manifest_arrives_is_refused(gate, make_image):
    image = make_image()
    layer = image.manifest.layers[0]
    with gate.client() as client:
        image.push_blobs(client, "team/tampered")
        stored = gate.blob_file(layer.digest)
        altered = bytearray(stored.read_bytes())
        altered[-1] ^= 1
        stored.write_bytes(altered)
        with pytest.raises(RegistryError, match="blobs-intact: ") as caught:
            client.put_manifest("team/tampered", "v1", image.raw, OCI_MANIFEST)
        assert caught.value.status == 403
        assert layer.digest in caught.value.reason
        assert not client.has_manifest("team/tampered", "v1")


def test_a_config_that_names_other_layers_is_refused(gate, make_image):
    image = make_image({"app/a": b"what is in it"}, diff_ids=(Digest.of(b"what it says is in it"),))
    with gate.client() as client, pytest.raises(RegistryError, match="layers-match-config: "):
        image.push(client, "team/inconsistent", "v1")


def test_a_manifest_whose_layers_were_never_pushed_is_no_manifest(gate, make_image):
    image = make_image()
    with gate.client() as client, pytest.raises(RegistryError) as caught:
        client.put_manifest("team/empty", "v1", image.raw, OCI_MANIFEST)
    assert (caught.value.status, caught.value.code) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_an_index_is_admitted_only_when_all_its_children_are(gate, make_image):
    good, bad, absent = make_image(), make_image(user="0"), make_image(architecture="arm64")
    with gate.client() as client:
        good.push(client, "team/index")
        with pytest.raises(RegistryError):
            bad.push(client, "team/index")
        for others, why in (((bad,), "not-root"), ((absent,), "nothing with the digest")):
            index = Index(manifests=(good.descriptor, *(other.descriptor for other in others)))
            with pytest.raises(RegistryError, match=f"children-admitted: .*{why}"):
                client.put_manifest("team/index", "all", index.to_json(), OCI_INDEX)
            assert not client.has_manifest("team/index", "all")
        absent.push(client, "team/index")
        whole = Index(manifests=(good.descriptor, absent.descriptor))
        client.put_manifest("team/index", "all", whole.to_json(), OCI_INDEX)
        assert client.get_manifest("team/index", "all").raw == whole.to_json()


def test_an_image_admitted_in_one_repository_is_not_readable_in_another(gate, make_image):
    image = make_image()
    with gate.client() as client, gate.client("pod") as pod:
        image.push(client, "team/here", "v1")
        image.push_blobs(client, "team/there")
        assert not pod.has_manifest("team/there", image.digest)
        assert pod.blob_size("team/there", image.manifest.layers[0].digest) is None
        assert pod.blob_size("team/here", image.manifest.layers[0].digest) is not None


def test_a_gate_whose_embedded_registry_dies_gets_a_new_one(start_gate, make_image):
    gate = start_gate()
    image = make_image()
    registry = int(_children(gate.process.pid)[0])
    os.kill(registry, signal.SIGKILL)
    with gate.client() as client:
        eventually(lambda: httpx.get(f"http://{gate.host}/v2/", timeout=60).status_code == 401)
        eventually(lambda: _pushed(image, client, "team/again"))
    assert _children(gate.process.pid) != [str(registry)]


def test_the_embedded_registry_ends_with_a_gate_that_is_killed(start_gate):
    gate = start_gate()
    (registry,) = _children(gate.process.pid)
    gate.end(signal.SIGKILL)
    eventually(lambda: not _runs(int(registry)))


def test_the_embedded_registry_lets_nobody_but_the_gate_in(gate):
    address = re.search(r"registry at (http://\S+)", gate.log)[1]
    assert httpx.get(f"{address}/v2/", timeout=60).status_code == 401


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that is not the gate's own."""
    running = Registry(tmp_path / "registry")
    running.start()
    yield running
    running.stop()


def test_while_the_registry_is_down_nothing_is_admitted_and_afterwards_all_is_well(
    start_gate, make_image, registry
):
    gate = start_gate("--upstream", registry.url)
    before, image = make_image(), make_image()
    with gate.client() as client:
        before.push(client, "team/before", "v1")
        image.push_blobs(client, "team/during")
        registry.stop()
        for attempt in (
            lambda: client.put_manifest("team/during", "v1", image.raw, OCI_MANIFEST),
            lambda: make_image().push_blobs(client, "team/during"),
        ):
            with pytest.raises(RegistryError) as caught:
                attempt()
            assert caught.value.status == 503
        with client.open_blob("team/before", before.manifest.layers[0].digest) as chunks:
            assert Digest.of_chunks(chunks) == before.manifest.layers[0].digest
        assert httpx.get(f"http://{gate.host}/readyz", timeout=60).status_code == 503
        assert httpx.get(f"http://{gate.host}/healthz", timeout=60).status_code == 200
        registry.start()
        assert not client.has_manifest("team/during", "v1")
        assert image.push(client, "team/during", "v1") == image.digest


def test_a_gate_killed_between_decision_and_publication_admits_nothing_and_a_retry_repeats_the_decision(
    start_gate, make_image, registry
):
    proxy = StoppingProxy(registry.port, at=PUBLISHES)
    gate = start_gate("--upstream", f"http://127.0.0.1:{proxy.port}")
    image = make_image()
    with gate.client() as client:
        pushing = threading.Thread(target=push_into_the_void, args=(image, client))
        pushing.start()
        assert proxy.stopped.wait(timeout=60), gate.log
        gate.end(signal.SIGKILL)
        proxy.close()
        pushing.join()

    with closing(Store(gate.data / "gate.db")) as store:
        decision = store.latest_decision("team/killed", image.digest)
        assert decision is not None
        assert decision.verdict is Verdict.ADMITTED
        assert store.manifest("team/killed", "v1") is None

    gate.options = ("--upstream", registry.url)
    gate.start()
    with gate.client() as client:
        assert not client.has_manifest("team/killed", image.digest)
        assert client.tags("team/killed") == ()
        image.push(client, "team/killed", "v1")
        url = f"http://{gate.host}/v2/team/killed/manifests/v1"
        answer = httpx.get(url, auth=("pod", "correct horse"), timeout=60)
        assert answer.headers["Mlgate-Decision"].endswith(f"/api/decisions/{decision.id}")


def test_a_gate_killed_at_any_moment_publishes_whole_or_not_at_all(start_gate, make_image):
    gate = start_gate()
    for pause in (0.0, 0.05, 0.1, 0.2, 0.3):
        image = make_image()
        with gate.client() as client:
            image.push_blobs(client, "team/anytime")
            pushing = threading.Thread(target=push_into_the_void, args=(image, client, "team/anytime"))
            pushing.start()
            time.sleep(pause)
            gate.end(signal.SIGKILL)
            pushing.join()
        gate.start()
        with closing(Store(gate.data / "gate.db")) as store, gate.client("pod") as pod:
            decision = store.latest_decision("team/anytime", image.digest)
            if pod.has_manifest("team/anytime", image.digest):
                assert decision is not None
                assert decision.verdict is Verdict.ADMITTED
                assert pod.blob_size("team/anytime", image.manifest.config.digest) is not None
        with gate.client() as client:
            assert image.push(client, "team/anytime", "v1") == image.digest


def test_without_trivy_nothing_that_needs_it_is_decided(start_gate, make_image, tmp_path):
    gate = start_gate("--trivy", str(tmp_path / "no-trivy"), policies={"any.yaml": SCANNED})
    with gate.client() as client, pytest.raises(RegistryError) as caught:
        make_image().push(client, "team/unscanned", "v1")
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    assert "no-critical" in caught.value.reason
    assert "Trivy is not at" in caught.value.reason
    problems = httpx.get(f"http://{gate.host}/readyz", timeout=60).json()["problems"]
    assert any("Trivy is not at" in problem for problem in problems)


def test_without_a_vulnerability_database_nothing_that_needs_it_is_decided(start_gate, make_image):
    gate = start_gate(policies={"any.yaml": SCANNED})
    with gate.client() as client, pytest.raises(RegistryError, match=r"no-critical: .*no vulnerability database"):
        make_image().push(client, "team/unmatched", "v1")


def test_many_pushes_of_one_image_at_once_are_judged_once(gate, make_image):
    image = make_image()
    with gate.client() as client:
        image.push_blobs(client, "team/crowd")
        failures: list[Exception] = []

        def push(number: int) -> None:
            try:
                client.put_manifest("team/crowd", f"v{number}", image.raw, OCI_MANIFEST)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(client.tags("team/crowd")) == 8
    assert len(re.findall(rf"decision \w+ on team/crowd@{image.digest}", gate.log)) == 1


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _runs(pid: int) -> bool:
    """Whether a process is there and not just waiting to be buried."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _pushed(image, client: RegistryClient, repository: str) -> bool:
    try:
        return image.push(client, repository, "v1") == image.digest
    except RegistryError as error:
        if error.status != 503:
            raise
        return False
