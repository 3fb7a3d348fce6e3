"""SIGTERM in the middle of a push: what is under way ends well, nothing new begins, and the gate ends with 0."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryError
from tests.gate.registry_process import eventually

pytestmark = pytest.mark.acceptance

AUTH = ("ci", "correct horse")
PATIENCE = 120.0


def ended(gate) -> int:
    gate.process.wait(PATIENCE)
    return gate.end()


def test_a_blob_and_its_manifest_get_through_while_nothing_new_begins(start_gate, make_image):
    gate = start_gate()
    image = make_image({"app/large": os.urandom(400_000)})
    (layer,) = image.manifest.layers
    half, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        raw = image.layout.read_bytes(layer.digest)
        yield raw[:200_000]
        half.set()
        go_on.wait(PATIENCE)
        yield raw[200_000:]

    url = f"http://{gate.host}/v2/team/slow"
    with ThreadPoolExecutor(1) as pool, httpx.Client(auth=AUTH, timeout=60) as client:
        begun = client.post(f"{url}/blobs/uploads/").headers["Location"]
        upload = pool.submit(
            httpx.put,
            f"http://{gate.host}{begun}&digest={layer.digest}",
            content=slowly(),
            headers={"Content-Type": "application/octet-stream"},
            auth=AUTH,
            timeout=60,
        )
        assert half.wait(PATIENCE)
        gate.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping: " in gate.log)
        ready = client.get(f"http://{gate.host}/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["accepting"] == "failed"
        assert client.get(f"http://{gate.host}/healthz").status_code == 200
        refused = client.post(f"http://{gate.host}/v2/team/new/blobs/uploads/")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        go_on.set()
        assert upload.result().status_code == 201
        config = image.layout.read_bytes(image.manifest.config.digest)
        pushed = client.post(f"{url}/blobs/uploads/?digest={Digest.of(config)}", content=config)
        assert pushed.status_code == 201
        answer = client.put(
            f"{url}/manifests/v1", content=image.raw, headers={"Content-Type": image.descriptor.media_type}
        )
        assert answer.status_code == 201
    assert ended(gate) == 0
    gate.start()
    with gate.client("pod") as client:
        assert client.get_manifest("team/slow", "v1").digest == image.digest


@pytest.fixture
def slow_scanner(tmp_path: Path) -> Path:
    """Trivy, but whenever it looks into an image, not before there is a file `go-on` beside it."""
    script = tmp_path / "slow-trivy"
    late = f"while ! test -e {tmp_path}/go-on; do sleep 0.05; done"
    real = shutil.which("trivy") or Path(sys.executable).with_name("trivy")
    script.write_text(f'#!/bin/sh\ncase "$*" in *--input*) {late};; esac\nexec {real} "$@"\n')
    script.chmod(0o755)
    return script


def test_a_verdict_under_way_is_told(start_gate, make_image, slow_scanner):
    gate = start_gate("--trivy", str(slow_scanner))
    image = make_image()
    with ThreadPoolExecutor(1) as pool, gate.client() as client:
        pushing = pool.submit(image.push, client, "team/judged", "v1")
        metrics = f"http://{gate.host}/metrics"
        eventually(lambda: "mlgate_judging_running 1.0" in httpx.get(metrics, auth=AUTH, timeout=60).text)
        gate.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping: " in gate.log)
        (slow_scanner.parent / "go-on").touch()
        assert pushing.result() == image.digest
    assert ended(gate) == 0


def test_who_does_not_go_on_is_waited_for_no_longer_than_the_setting_says(start_gate, make_image):
    gate = start_gate("--grace", "1")
    half, ended = threading.Event(), threading.Event()

    def never() -> Iterator[bytes]:
        yield b"a" * 1000
        half.set()
        ended.wait(PATIENCE)
        yield b"b"

    url = f"http://{gate.host}/v2/team/stuck/blobs/uploads/"
    with ThreadPoolExecutor(1) as pool:
        begun = httpx.post(url, auth=AUTH, timeout=60).headers["Location"]
        upload = pool.submit(httpx.patch, f"http://{gate.host}{begun}", content=never(), auth=AUTH, timeout=60)
        assert half.wait(PATIENCE)
        begin = time.monotonic()
        assert gate.end() == 0
        assert time.monotonic() - begin < 30, "half of what there would be without the setting"
        ended.set()
        with pytest.raises((httpx.HTTPError, AssertionError, RegistryError)):
            assert upload.result().status_code < 300
    assert "did not end in time: 1" in gate.log
