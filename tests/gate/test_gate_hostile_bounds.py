"""What would take all memory, all time or somebody else's request: bounded, or refused."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import socket
import zipfile
from collections.abc import Callable, Mapping

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST
from compliance.oci.registry import RegistryError
from tests.gate.conftest import NOT_ROOT, PASSWORD, RunningGate
from tests.gate.process_memory import bounded

pytestmark = pytest.mark.acceptance

SECONDS = 60.0
MORE_BYTES = 512 << 20
LARGE = 256 << 20


@pytest.fixture(scope="module")
def gate(tmp_path_factory, module_gate) -> RunningGate:
    return module_gate(tmp_path_factory.mktemp("bounds"), {"any.yaml": NOT_ROOT})


def zipped(name: str, size: int, inside: bytes = b"") -> bytes:
    """A zip whose one member is `inside`, or so many zeros that it is a thousandth of them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as member:
        member.write(inside)
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


def gzipped(size: int, head: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as stream:
        stream.write(head)
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))
    return buffer.getvalue()


def jar_in_jar() -> bytes:
    inner = zipped("META-INF/maven/a/b/pom.properties", LARGE)
    for depth in range(4):
        inner = zipped(f"lib/{depth}.jar", 0, inner)
    return inner


BOMBS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "jar in jar in jar": ("app/lib/a.jar", jar_in_jar),
    "PyTorch archive with a pickle of 256 MB": ("app/m.pt", lambda: zipped("m/data.pkl", LARGE)),
    "Keras archive with a config of 256 MB": ("app/m.keras", lambda: zipped("config.json", LARGE)),
    "joblib dump of 256 MB": ("app/m.joblib", lambda: gzipped(LARGE, pickle.dumps("x")[:-1])),
    "gzip in gzip in gzip": ("app/m.pkl.gz", lambda: gzip.compress(gzip.compress(gzipped(LARGE)))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_archives_in_a_layer_that_inflate_are_judged_in_bounded_time_and_memory(gate, make_image, name):
    path, made = BOMBS[name]
    image = make_image({path: made()})
    assert gate.process is not None
    with gate.client() as client:
        image.push_blobs(client, "bounds/nested")
    with (
        bounded(gate.process.pid, seconds=SECONDS, more_bytes=MORE_BYTES),
        httpx.Client(base_url=f"http://{gate.host}", auth=("ci", PASSWORD), timeout=120) as client,
    ):
        answer = client.put(
            "/v2/bounds/nested/manifests/v1", content=image.raw, headers={"Content-Type": OCI_MANIFEST}
        )
    assert answer.status_code in {201, 403}, answer.text


def test_a_list_of_packages_that_would_keep_the_scanner_busy_is_refused(gate, make_image):
    image = make_image({"var/lib/dpkg/status": b"\n" * (65 << 20)})
    with gate.client() as client, pytest.raises(RegistryError, match="nothing that describes packages") as caught:
        image.push(client, "bounds/list", "v1")
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    with gate.client("pod") as pod:
        assert not pod.has_manifest("bounds/list", "v1")


def test_a_layer_compressed_twice_is_no_layer(gate, make_image):
    image = make_image()
    layer = gzip.compress(image.layout.read_bytes(image.manifest.layers[0].digest), mtime=0)
    manifest = json.loads(image.raw)
    manifest["layers"][0].update(digest=Digest.of(layer), size=len(layer))
    raw = json.dumps(manifest).encode()
    with (
        gate.client() as blobs,
        httpx.Client(base_url=f"http://{gate.host}", auth=("ci", PASSWORD), timeout=120) as client,
    ):
        image.push_blobs(blobs, "bounds/twice")
        blobs.push_blob("bounds/twice", Digest.of(layer), len(layer), lambda: io.BytesIO(layer))
        answer = client.put("/v2/bounds/twice/manifests/v1", content=raw, headers={"Content-Type": OCI_MANIFEST})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")
        assert client.head("/v2/bounds/twice/manifests/v1").status_code == 404


@pytest.mark.parametrize("depth", [1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("kind", [OCI_MANIFEST, OCI_INDEX])
def test_json_nested_without_end_is_no_manifest(gate, kind, depth):
    raw = b'{"schemaVersion":2,"annotations":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert gate.process is not None
    with (
        bounded(gate.process.pid, seconds=20, more_bytes=MORE_BYTES),
        httpx.Client(base_url=f"http://{gate.host}", auth=("ci", PASSWORD), timeout=120) as client,
    ):
        answer = client.put("/v2/bounds/deep/manifests/v1", content=raw, headers={"Content-Type": kind})
    assert answer.status_code in {400, 413}, answer.text
    assert answer.json()["errors"][0]["code"] in {"MANIFEST_INVALID", "SIZE_INVALID"}


SMUGGLED = b"GET /v2/smuggled/manifests/v1 HTTP/1.1\r\nHost: a\r\n\r\n"
TWO_REQUESTS = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "length with a sign": b"Content-Length: +5\r\n\r\n",
    "length in a list": b"Content-Length: 0, 5\r\n\r\n",
    "chunks that are not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks by another name": b"Transfer-Encoding: xchunked\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a chunk of negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a header on two lines": b"X-A: b\r\n Content-Length: 9\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
}


@pytest.mark.parametrize("name", TWO_REQUESTS)
def test_a_request_that_could_be_two_is_answered_as_none(gate, name):
    """By whichever of the two a proxy in front goes by, what follows must not become a request of its own."""
    head = b"POST /v2/bounds/smuggle/blobs/uploads/ HTTP/1.1\r\nHost: a\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
        connection.sendall(head + TWO_REQUESTS[name] + SMUGGLED)
        connection.settimeout(3)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except (TimeoutError, ConnectionResetError):
            pass
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) in ([b"400"], []), received
