"""Bad pushes, each a directory named after what is wrong with it, and attacks on names, headers and uploads.

Each is refused with the right code, in bounded time and memory, and leaves nothing that can be pulled.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from compliance.attest.bundle import sign_statement
from compliance.attest.keys import load_signer
from compliance.attest.provenance import SpecFile, slsa_statement
from compliance.attest.referrer import as_referrer
from compliance.attest.statement import subjects_for
from compliance.evidence import Lock
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from gate.identity.permissions import Role
from gate.identity.users import set_user
from tests.gate.conftest import NOT_ROOT, PASSWORD, RunningGate

pytestmark = pytest.mark.acceptance

CASES: Final = sorted(path for path in (Path(__file__).parent / "data" / "hostile").iterdir())
IMAGE_BYTES: Final = 64 << 20
SECONDS: Final = 30.0


@pytest.fixture(scope="module")
def gate(tmp_path_factory, module_gate) -> RunningGate:
    root = tmp_path_factory.mktemp("hostile")
    running = module_gate(root, {"any.yaml": NOT_ROOT}, {"MLGATE_IMAGE_BYTES": str(IMAGE_BYTES)})
    set_user(root / "users.yaml", "other", Role.PUSHER, PASSWORD, rounds=4)
    return running


def client_of(gate: RunningGate, user: str) -> httpx.Client:
    return httpx.Client(base_url=f"http://{gate.host}", auth=(user, PASSWORD), timeout=120)


@pytest.fixture
def pusher(gate) -> Iterator[httpx.Client]:
    with client_of(gate, "ci") as client:
        yield client


@pytest.fixture
def puller(gate) -> Iterator[httpx.Client]:
    with client_of(gate, "pod") as client:
        yield client


def only_error(answer: httpx.Response) -> dict[str, str]:
    (error,) = answer.json()["errors"]
    return error


def push_blob(client: httpx.Client, repository: str, data: bytes, algorithm: str = "sha256") -> Digest:
    digest = Digest.of(data, algorithm)
    answer = client.post(f"/v2/{repository}/blobs/uploads/", params={"digest": digest}, content=data)
    assert answer.status_code == 201, answer.text
    return digest


def put(
    client: httpx.Client, repository: str, target: str, raw: bytes, kind: str = OCI_MANIFEST
) -> httpx.Response:
    return client.put(f"/v2/{repository}/manifests/{target}", content=raw, headers={"Content-Type": kind})


def assert_nothing_is_left(puller: httpx.Client, repository: str, digest: Digest, blobs: list[Digest]) -> None:
    for target in ("v1", digest):
        assert puller.head(f"/v2/{repository}/manifests/{target}").status_code == 404
        assert puller.get(f"/v2/{repository}/manifests/{target}").status_code in {403, 404}
    assert puller.get(f"/v2/{repository}/tags/list").json().get("tags", []) == []
    for blob in blobs:
        assert puller.get(f"/v2/{repository}/blobs/{blob}").status_code == 404


def test_there_are_bad_pushes_to_refuse():
    assert len(CASES) > 50


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_a_bad_push_is_refused_and_leaves_nothing(pusher, puller, case):
    expected = json.loads((case / "expected.json").read_text())
    raw = (case / "manifest.json").read_bytes()
    repository = f"hostile/{case.name}"
    blobs = [
        push_blob(pusher, repository, path.read_bytes(), path.suffix[1:] if path.suffix == ".sha512" else "sha256")
        for path in sorted((case / "blobs").glob("*"))
    ]
    kind = expected.get("type") or json.loads(raw).get("mediaType", OCI_MANIFEST)
    begin = time.monotonic()
    answer = put(pusher, repository, "v1", raw, kind)
    assert time.monotonic() - begin < SECONDS
    error = only_error(answer)
    assert (answer.status_code, error["code"]) == (expected["status"], expected["code"])
    assert expected["says"] in error["message"]
    assert_nothing_is_left(puller, repository, Digest.of(raw), blobs)


def test_an_index_of_ten_thousand_is_refused(pusher, puller):
    entry = {"mediaType": OCI_MANIFEST, "digest": Digest.of(b"x"), "size": 1}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] * 10_000}).encode()
    answer = put(pusher, "hostile/ten-thousand", "v1", raw, OCI_INDEX)
    assert (answer.status_code, only_error(answer)["code"]) == (400, "MANIFEST_INVALID")
    assert "10,000" in only_error(answer)["message"]
    assert_nothing_is_left(puller, "hostile/ten-thousand", Digest.of(raw), [])


def test_indexes_that_name_each_other_are_refused_whichever_comes_first(pusher, puller):
    """A true circle would need digests that hold each other; what can be sent waits for the other."""
    first = {"mediaType": OCI_INDEX, "digest": Digest.of(b"second, to be"), "size": 100}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [first]}).encode()
    back = {"mediaType": OCI_INDEX, "digest": Digest.of(raw), "size": len(raw)}
    other = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [back]}).encode()
    for each in (raw, other, raw):
        answer = put(pusher, "hostile/circle", "v1", each, OCI_INDEX)
        assert (answer.status_code, only_error(answer)["code"]) == (403, "DENIED")
    assert_nothing_is_left(puller, "hostile/circle", Digest.of(raw), [])


def memory_of(gate: RunningGate) -> int:
    """What the gate's process holds, in bytes."""
    assert gate.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{gate.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.parametrize("declared", [True, False])
def test_a_manifest_of_a_gigabyte_is_refused_and_not_held(gate, puller, declared):
    before = memory_of(gate)
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 20
            yield b" " * (1 << 20)

    headers = {"Content-Type": OCI_MANIFEST, **({"Content-Length": str(1 << 30)} if declared else {})}
    with client_of(gate, "ci") as client:
        answer = client.put("/v2/hostile/gigabyte/manifests/v1", content=body(), headers=headers)
    assert (answer.status_code, only_error(answer)["code"]) == (413, "SIZE_INVALID")
    assert memory_of(gate) - before < 64 << 20
    assert puller.head("/v2/hostile/gigabyte/manifests/v1").status_code == 404


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/" + b"a" * (1 << 20),
        b"GET /v2/ HTTP/1.1\r\nX-Long: " + b"a" * (1 << 20),
        b"GET /v2/ HTTP/1.1\r\n" + b"X-Many: a\r\n" * 100_000,
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * (1 << 20),
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-T: a\r\n" * 100_000,
    ],
    ids=["line", "header", "headers", "chunk extension", "trailers"],
)
def test_a_request_whose_head_never_ends_is_cut_off(gate, head):
    before = memory_of(gate)
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
        try:
            for _ in range(64):
                connection.sendall(head)
        except OSError:
            pass  # cut off while sending
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except OSError:
            pass
    assert re.match(rb"HTTP/1.1 40[01] ", received) or not received
    assert memory_of(gate) - before < 32 << 20


def test_a_blob_of_another_repository_cannot_be_named(pusher, puller, make_image):
    image = make_image()
    for blob in (image.manifest.config, *image.manifest.layers):
        push_blob(pusher, "hostile/theirs", image.layout.read_bytes(blob.digest))
    answer = put(pusher, "hostile/ours", "v1", image.raw)
    assert (answer.status_code, only_error(answer)["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")
    blobs = [layer.digest for layer in image.manifest.layers]
    assert_nothing_is_left(puller, "hostile/ours", image.digest, blobs)


def test_a_tag_that_many_push_at_once_is_one_of_what_was_admitted(gate, make_image):
    good, bad = [make_image() for _ in range(3)], [make_image(user="0") for _ in range(3)]
    statuses: dict[Digest, list[int]] = {image.digest: [] for image in (*good, *bad)}
    with gate.client() as blobs:
        for image in (*good, *bad):
            image.push_blobs(blobs, "hostile/race")

    def push(image) -> None:
        with client_of(gate, "ci") as client:
            for _ in range(3):
                statuses[image.digest].append(put(client, "hostile/race", "v1", image.raw).status_code)

    threads = [threading.Thread(target=push, args=(image,)) for image in (*good, *bad)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(statuses[image.digest] == [201] * 3 for image in good)
    assert all(statuses[image.digest] == [403] * 3 for image in bad)
    with client_of(gate, "pod") as puller:
        found = puller.get("/v2/hostile/race/manifests/v1").headers["Docker-Content-Digest"]
        assert found in {image.digest for image in good}
        assert puller.get("/v2/hostile/race/tags/list").json()["tags"] == ["v1"]
    behind = gate.storage / "repositories" / "hostile" / "race" / "_manifests" / "tags" / "v1" / "current" / "link"
    assert behind.read_text() == found


def bundle_about(gate: RunningGate, image) -> bytes:
    statement = slsa_statement(
        subjects_for("team/image", image.digest, image.manifest.config.digest),
        builder="urn:mlbuild:builder:local",
        spec=SpecFile("mlbuild.yaml", "image: team/image\n"),
        layout_version=1,
        base_name="none",
        base=Digest.of(b"base"),
        lock=Lock(Digest.of(b"lock"), ()),
    )
    return sign_statement(statement, load_signer(gate.key))


def push_bundle(gate: RunningGate, repository: str, bundle: bytes, subject: Descriptor) -> httpx.Response:
    manifest, blobs = as_referrer(bundle, subject)
    with gate.client() as client:
        for blob, data in blobs:
            client.push_blob(repository, blob.digest, blob.size, lambda data=data: io.BytesIO(data))
    with client_of(gate, "ci") as client:
        raw = manifest.to_json()
        return put(client, repository, Digest.of(raw), raw)


def test_a_forged_bundle_is_refused(gate, puller, make_image):
    image = make_image()
    document = json.loads(bundle_about(gate, make_image()))
    envelope = document["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    for subject, digest in zip(statement["subject"], (image.digest, image.manifest.config.digest), strict=True):
        subject["digest"]["sha256"] = digest.hex
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    answer = push_bundle(gate, "hostile/forged", json.dumps(document).encode(), image.descriptor)
    assert (answer.status_code, only_error(answer)["code"]) == (403, "DENIED")
    assert "evidence-verified: " in only_error(answer)["message"]
    assert puller.get(f"/v2/hostile/forged/referrers/{image.digest}").json()["manifests"] == []


def test_a_true_bundle_replayed_for_another_image_is_refused(gate, puller, make_image):
    image, other = make_image(), make_image()
    bundle = bundle_about(gate, image)
    assert push_bundle(gate, "hostile/replayed", bundle, image.descriptor).status_code == 201
    answer = push_bundle(gate, "hostile/replayed", bundle, other.descriptor)
    assert answer.status_code == 403
    assert "about something else" in only_error(answer)["message"]
    assert puller.get(f"/v2/hostile/replayed/referrers/{other.digest}").json()["manifests"] == []


def start_upload(client: httpx.Client, repository: str = "hostile/upload") -> str:
    return client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]


def test_an_upload_is_good_for_its_user_and_repository_alone(gate, pusher):
    location = start_upload(pusher)
    with client_of(gate, "other") as other, client_of(gate, "pod") as pod:
        moved = location.replace("hostile/upload", "hostile/elsewhere")
        for client, target in ((other, location), (pusher, moved)):
            for method in ("GET", "PATCH", "PUT", "DELETE"):
                answer = client.request(method, f"{target}&digest={Digest.of(b'x')}", content=b"x")
                assert (answer.status_code, only_error(answer)["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert pod.patch(location, content=b"x").status_code == 403
    assert httpx.patch(f"http://{gate.host}{location}", content=b"x", timeout=60).status_code == 401
    assert pusher.get(location).status_code == 204


@pytest.mark.parametrize(
    "change",
    [
        lambda location: location.partition("?")[0],
        lambda location: location + "A",
        lambda location: location.replace("_upload=", "_upload=AAAA"),
        lambda location: re.sub(r"uploads/[0-9a-f]{32}", "uploads/" + "0" * 32, location),
        lambda location: re.sub(r"_upload=.*", "_upload=" + "A" * 400, location),
        lambda location: re.sub(r"uploads/[0-9a-f]{32}", "uploads/..%2F..%2F_catalog", location),
    ],
    ids=["no seal", "longer", "shifted", "another's", "made up", "escaping"],
)
def test_a_location_that_was_tampered_with_leads_nowhere(pusher, change):
    answer = pusher.patch(change(start_upload(pusher)), content=b"x")
    assert answer.status_code in {400, 404}
    assert only_error(answer)["code"] in {"BLOB_UPLOAD_UNKNOWN", "NAME_INVALID", "UNSUPPORTED"}


def test_a_location_replayed_sends_nothing_twice(pusher):
    data = os.urandom(1000)
    first = start_upload(pusher)
    second = pusher.patch(first, content=data[:500]).headers["Location"]
    replayed = pusher.patch(first, content=data[:500])
    assert (replayed.status_code, replayed.headers["Range"]) == (416, "0-499")
    assert pusher.put(f"{second}&digest={Digest.of(data)}", content=data[500:]).status_code == 201
    for location in (first, second):
        answer = pusher.patch(location, content=b"x")
        assert (answer.status_code, only_error(answer)["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert pusher.get(f"/v2/hostile/upload/blobs/{Digest.of(data)}").content == data


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nSet-Cookie: b",
        "a\nb",
        "a\0b",
        "%2e%2e/a",
        "a/%2e%2e/b",
        "a//b",
        "A",
        "a%2e%2e/b",
        "a b",
        "ä",
        "a" * 256,
        "a/",
    ],
)
def test_a_name_that_is_none_is_refused_and_echoed_in_no_header(pusher, name):
    quoted = quote(name, safe="%/")
    for method, path in (
        ("GET", "manifests/v1"),
        ("PUT", "manifests/v1"),
        ("DELETE", "manifests/v1"),
        ("POST", "blobs/uploads/"),
        ("GET", "tags/list"),
        ("GET", f"referrers/{Digest.of(b'')}"),
        ("GET", f"blobs/{Digest.of(b'')}"),
    ):
        answer = pusher.request(method, f"/v2/{quoted}/{path}", headers={"Content-Type": OCI_MANIFEST})
        assert answer.status_code in {400, 404, 405}
        assert only_error(answer)["code"] in {"NAME_INVALID", "UNSUPPORTED"}
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("tag", ["v1\r\nSet-Cookie= b", "-v1", ".v1", "v" * 129, "ä", "v1\0"])
def test_a_tag_that_is_none_is_refused(pusher, tag):
    answer = put(pusher, "hostile/tag", quote(tag, safe=""), b"{}")
    assert (answer.status_code, only_error(answer)["code"]) == (400, "MANIFEST_INVALID")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("last", ["%00", "%0d%0aSet-Cookie:%20b", "%ff"])
def test_a_last_tag_that_is_no_text_is_refused(pusher, last):
    answer = pusher.get(f"/v2/hostile/tag/tags/list?last={last}")
    assert answer.status_code in {400, 404}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example.com;proto=https", "X-Forwarded-Prefix": "/evil"},
        {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1"},
        {"Host": "evil.example.com/path"},
        {"Host": "evil example com"},
        {"Host": 'evil"onload=1'},
        {"Host": "user@evil.example.com"},
    ],
)
def test_what_headers_say_of_hosts_does_not_lead_astray(gate, pusher, make_image, headers):
    location = pusher.post("/v2/hostile/hosts/blobs/uploads/", headers=headers).headers["Location"]
    assert location.startswith("/v2/hostile/hosts/blobs/uploads/")
    image = make_image(user="0")
    with gate.client() as client:
        image.push_blobs(client, "hostile/hosts")
    said = {"Content-Type": OCI_MANIFEST, **headers}
    answer = pusher.put("/v2/hostile/hosts/manifests/v1", content=image.raw, headers=said)
    assert answer.status_code == 403
    assert f" Report: http://{gate.host}/api/decisions/" in only_error(answer)["message"]


def test_a_path_without_its_slash_is_not_redirected_to_whatever_host_is_named(pusher):
    answer = pusher.get("/v2", headers={"Host": "evil.example.com"})
    assert answer.status_code == 200
    assert "Location" not in answer.headers
