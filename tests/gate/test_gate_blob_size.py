"""Limits on blobs and manifests, at a gate where they are small."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST
from tests.gate.conftest import NOT_ROOT, PASSWORD

pytestmark = pytest.mark.acceptance

LIMIT = 100_000
UPLOADS = "/v2/team/sizes/blobs/uploads/"


@pytest.fixture(scope="module")
def client(tmp_path_factory, module_gate) -> Iterator[httpx.Client]:
    small = {"MLGATE_BLOB_BYTES": str(LIMIT), "MLGATE_MANIFEST_BYTES": str(64 << 10)}
    running = module_gate(tmp_path_factory.mktemp("sizes"), {"any.yaml": NOT_ROOT}, small)
    with httpx.Client(base_url=f"http://{running.host}", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


def pieces(count: int) -> Iterator[bytes]:
    """A body whose length is not said."""
    for _ in range(count):
        yield b"x" * 10_000


def start(client: httpx.Client) -> str:
    return client.post(UPLOADS).headers["Location"]


def too_large(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "SIZE_INVALID")


def digest(count: int) -> Digest:
    return Digest.of(b"x" * 10_000 * count)


def test_a_blob_as_large_as_may_be_is_taken_in_every_way(client):
    body = b"x" * LIMIT
    whole = client.post(UPLOADS, params={"digest": Digest.of(body)}, content=body)
    assert whole.status_code == 201, whole.text
    streamed = client.patch(start(client), content=pieces(10))
    finished = client.put(f"{streamed.headers['Location']}&digest={digest(10)}")
    assert finished.status_code == 201, finished.text


def test_a_byte_more_is_not_taken_whole(client):
    body = b"x" * (LIMIT + 1)
    assert too_large(client.post(UPLOADS, params={"digest": Digest.of(body)}, content=body))
    assert too_large(client.put(f"{start(client)}&digest={Digest.of(body)}", content=body))
    assert too_large(client.put(f"{start(client)}&digest={digest(11)}", content=pieces(11)))
    assert client.head(f"/v2/team/sizes/blobs/{Digest.of(body)}").status_code == 404


def test_nor_as_a_stream_nor_in_chunks_and_the_upload_is_over(client):
    location = start(client)
    assert too_large(client.patch(location, content=pieces(11)))
    assert client.get(location).status_code == 404
    first = client.patch(start(client), content=b"x" * 60_000)
    assert first.status_code == 202
    assert too_large(client.patch(first.headers["Location"], content=b"x" * 60_000))
    assert client.get(first.headers["Location"]).status_code == 404
    again = client.patch(start(client), content=b"x" * 60_000)
    assert too_large(client.put(f"{again.headers['Location']}&digest={digest(12)}", content=b"x" * 60_000))


def test_a_manifest_over_what_is_set_is_not_taken(client):
    answer = client.put(
        "/v2/team/sizes/manifests/v1", content=b"{" * 70_000, headers={"Content-Type": OCI_MANIFEST}
    )
    assert too_large(answer)
