"""The distribution specification, request by request, where a front could get it wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST

pytestmark = pytest.mark.acceptance

PASSWORD = "correct horse"


@pytest.fixture
def pusher(gate) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{gate.host}", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


@pytest.fixture
def puller(gate) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{gate.host}", auth=("pod", PASSWORD), timeout=60) as client:
        yield client


def only_error(answer: httpx.Response) -> dict[str, str]:
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    (error,) = answer.json()["errors"]
    assert "\n" not in error["message"]
    return error


def start(client: httpx.Client, repository: str = "team/upload") -> str:
    answer = client.post(f"/v2/{repository}/blobs/uploads/")
    assert answer.status_code == 202
    return answer.headers["Location"]


def with_digest(location: str, digest: Digest) -> str:
    """As containerd does: the query is parsed, sorted and encoded anew."""
    parts = urlsplit(location)
    return f"{parts.path}?{urlencode(sorted([*parse_qsl(parts.query), ('digest', digest)]))}"


def test_the_base_asks_for_credentials_and_says_what_it_is(gate, pusher):
    asked = httpx.get(f"http://{gate.host}/v2/", timeout=60)
    assert asked.status_code == 401
    assert asked.headers["WWW-Authenticate"].startswith("Bearer ")
    assert only_error(asked)["code"] == "UNAUTHORIZED"
    assert pusher.get("/v2/").headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_an_upload_stays_with_the_gate_and_does_not_mind_the_order_of_its_query(pusher):
    data = os.urandom(1000)
    location = start(pusher)
    assert location.startswith("/v2/team/upload/blobs/uploads/")
    answer = pusher.put(with_digest(location, Digest.of(data)), content=data)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v2/team/upload/blobs/{Digest.of(data)}"
    assert answer.headers["Docker-Content-Digest"] == Digest.of(data)


def test_a_blob_in_chunks_and_a_chunk_out_of_order(pusher):
    data = os.urandom(3000)
    location = start(pusher)
    for begin in (0, 1000):
        answer = pusher.patch(
            location, content=data[begin : begin + 1000], headers={"Content-Range": f"{begin}-{begin + 999}"}
        )
        assert answer.status_code == 202
        location = answer.headers["Location"]
    gap = pusher.patch(location, content=data[2500:], headers={"Content-Range": "2500-2999"})
    assert gap.status_code == 416
    assert gap.headers["Range"] == "0-1999"
    asked = pusher.get(location)
    assert (asked.status_code, asked.headers["Range"]) == (204, "0-1999")
    answer = pusher.put(with_digest(asked.headers["Location"], Digest.of(data)), content=data[2000:])
    assert answer.status_code == 201
    assert pusher.get(f"/v2/team/upload/blobs/{Digest.of(data)}").content == data


def test_a_blob_in_one_request(pusher):
    data = os.urandom(1000)
    answer = pusher.post(f"/v2/team/upload/blobs/uploads/?digest={Digest.of(data)}", content=data)
    assert answer.status_code == 201
    assert pusher.head(f"/v2/team/upload/blobs/{Digest.of(data)}").headers["Content-Length"] == "1000"


def test_a_blob_of_another_repository_is_mounted(pusher):
    data = os.urandom(1000)
    pusher.post(f"/v2/team/first/blobs/uploads/?digest={Digest.of(data)}", content=data)
    query = urlencode({"mount": Digest.of(data), "from": "team/first"})
    assert pusher.post(f"/v2/team/second/blobs/uploads/?{query}").status_code == 201
    assert pusher.head(f"/v2/team/second/blobs/{Digest.of(data)}").status_code == 200


def test_an_upload_is_given_up(pusher):
    location = start(pusher)
    assert pusher.delete(location).status_code == 204
    assert pusher.get(location).status_code == 404


def test_bytes_under_a_wrong_digest_are_not_kept(pusher):
    answer = pusher.put(with_digest(start(pusher), Digest.of(b"other")), content=b"some")
    assert (answer.status_code, only_error(answer)["code"]) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("digest", ["sha256:short", "md5:" + "0" * 32, "sha512:" + "0" * 127, "latest:1"])
def test_a_digest_that_cannot_be_answered_for_is_told_so(pusher, digest):
    location = start(pusher)
    for answer in (
        pusher.put(f"{location}&digest={digest}", content=b"x"),
        pusher.get(f"/v2/team/upload/blobs/{digest}"),
        pusher.get(f"/v2/team/upload/manifests/{digest}"),
    ):
        assert (answer.status_code, only_error(answer)["code"]) == (400, "DIGEST_INVALID")


def test_part_of_a_blob_is_read(pusher):
    data = os.urandom(1000)
    pusher.post(f"/v2/team/upload/blobs/uploads/?digest={Digest.of(data)}", content=data)
    answer = pusher.get(f"/v2/team/upload/blobs/{Digest.of(data)}", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, data[10:20])


def test_who_may_only_pull_sees_no_unadmitted_blob_and_pushes_nothing(pusher, puller, make_image):
    data = os.urandom(1000)
    digest = Digest.of(data)
    pusher.post(f"/v2/team/upload/blobs/uploads/?digest={digest}", content=data)
    assert puller.head(f"/v2/team/upload/blobs/{digest}").status_code == 404
    unknown = puller.get(f"/v2/team/upload/blobs/{digest}")
    assert (unknown.status_code, only_error(unknown)["code"]) == (404, "BLOB_UNKNOWN")
    image = make_image()
    for denied in (
        puller.post("/v2/team/upload/blobs/uploads/"),
        puller.put("/v2/team/upload/manifests/v1", content=image.raw, headers={"Content-Type": OCI_MANIFEST}),
    ):
        assert (denied.status_code, only_error(denied)["code"]) == (403, "DENIED")


@pytest.mark.parametrize("path", ["manifests/nothing", f"manifests/{Digest.of(b'x')}", f"blobs/{Digest.of(b'x')}"])
def test_what_is_not_there_is_404_for_head_and_get(puller, path):
    assert puller.head(f"/v2/team/nothing/{path}").status_code == 404
    assert puller.get(f"/v2/team/nothing/{path}").status_code == 404


def test_a_head_of_what_was_refused_is_404_and_a_get_says_why(pusher, puller, gate, make_image):
    image = make_image(user="0")
    with gate.client() as client:
        image.push_blobs(client, "team/refused")
    path = "/v2/team/refused/manifests"
    pusher.put(f"{path}/v1", content=image.raw, headers={"Content-Type": OCI_MANIFEST})
    for target in ("v1", image.digest):
        assert puller.head(f"{path}/{target}").status_code == 404
        assert puller.get(f"{path}/{target}").status_code == 403


def test_tags_come_in_pages(gate, puller, make_image):
    with gate.client() as client:
        image = make_image()
        for tag in ("v3", "v1", "v2"):
            image.push(client, "team/tags", tag)
        assert client.tags("team/tags") == ("v1", "v2", "v3")
    first = puller.get("/v2/team/tags/tags/list?n=2")
    assert first.json() == {"name": "team/tags", "tags": ["v1", "v2"]}
    second = puller.get(first.links["next"]["url"])
    assert second.json()["tags"] == ["v3"]
    assert "next" not in second.links
    assert only_error(puller.get("/v2/team/none/tags/list"))["code"] == "NAME_UNKNOWN"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v2/team/image/tags/list", 405),
        ("POST", f"/v2/team/image/blobs/{Digest.of(b'x')}", 405),
        ("GET", "/v2/_catalog", 404),
        ("GET", "/v2/team/image/tags/list?n=many", 400),
        ("GET", "/v2/Team/image/manifests/v1", 400),
        ("GET", "/v2/team/image/manifests/-v1", 400),
        ("GET", "/api/decisions/none", 404),
    ],
)
def test_what_the_gate_does_not_do_is_said_in_the_form_of_the_specification(pusher, method, path, status):
    answer = pusher.request(method, path)
    assert answer.status_code == status
    assert only_error(answer)["code"]
