"""Each endpoint of the distribution specification v1.1 by its number there, and what its answers must hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from compliance.oci.authentication import Challenge
from compliance.oci.credentials import Credentials
from compliance.oci.digest import Digest
from tests.gate.audited import (
    AUDIT_ONLY,
    FIRST,
    PASSWORD,
    SECOND,
    only_error,
    post_only,
    post_put,
    send,
    start,
    with_digest,
)
from tests.gate.content_sets import EXAMPLE, OCI_INDEX, OCI_MANIFEST, ContentSet

pytestmark = pytest.mark.acceptance

ABSENT: Final = "conformance/unheard-of"
NOTHING: Final = Digest.of(b"nothing")
SESSION: Final = "blobs/uploads/00000000000000000000000000000000"


@pytest.fixture(scope="module")
def audited(tmp_path_factory, module_gate):
    return module_gate(tmp_path_factory.mktemp("endpoints"), {"conformance.yaml": AUDIT_ONLY})


@pytest.fixture
def client(audited) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{audited.host}", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


@pytest.fixture
def image(client) -> ContentSet:
    """An image of which the blobs are pushed."""
    content = ContentSet()
    content.image("v1")
    for digest, data in content.blobs.items():
        assert post_put(client, FIRST, digest, data).status_code == 201
    return content


class ByToken(httpx.Auth):
    """Logs in as registry clients do: by a token for what the challenge asks, kept by repository and by kind."""

    requires_response_body = True

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        kind = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(request.method, "push")
        key = (request.url.path.partition("/blobs/")[0].partition("/manifests/")[0], kind)
        if key in self._kept:
            request.headers["Authorization"] = self._kept[key]
        answer = yield request
        if answer.status_code != 401:
            return
        challenge = Challenge.parse(answer.headers["WWW-Authenticate"]).parameters
        asked = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        token = yield httpx.Request(
            "GET", challenge["realm"], params=asked, headers={"Authorization": Credentials("ci", PASSWORD).basic}
        )
        self._kept[key] = f"Bearer {token.json()['token']}"
        request.headers["Authorization"] = self._kept[key]
        yield request


@pytest.fixture
def by_token(audited) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{audited.host}", auth=ByToken(), timeout=60) as client:
        yield client


def put(client: httpx.Client, raw: bytes, target: str, kind: str = OCI_MANIFEST) -> httpx.Response:
    return client.put(f"/v2/{FIRST}/manifests/{target}", content=raw, headers={"Content-Type": kind})


# (number, method, path, parameters, status and code of the answer where there is nothing of the kind)
UNKNOWN: Final = (
    ("end-2", "GET", f"{ABSENT}/blobs/{NOTHING}", {}, 404, "BLOB_UNKNOWN"),
    ("end-3 by tag", "GET", f"{ABSENT}/manifests/v1", {}, 404, "MANIFEST_UNKNOWN"),
    ("end-3 by digest", "GET", f"{ABSENT}/manifests/{NOTHING}", {}, 404, "MANIFEST_UNKNOWN"),
    ("end-5", "PATCH", f"{FIRST}/{SESSION}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("end-6", "PUT", f"{FIRST}/{SESSION}", {"digest": NOTHING}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("end-6 without a digest", "PUT", f"{FIRST}/{SESSION}", {}, 400, "DIGEST_INVALID"),
    ("end-7", "PUT", f"{FIRST}/manifests/v1", {}, 400, "MANIFEST_INVALID"),
    ("end-8", "GET", f"{ABSENT}/tags/list", {}, 404, "NAME_UNKNOWN"),
    ("end-9 by tag", "DELETE", f"{ABSENT}/manifests/v1", {}, 404, "MANIFEST_UNKNOWN"),
    ("end-9 by digest", "DELETE", f"{ABSENT}/manifests/{NOTHING}", {}, 404, "MANIFEST_UNKNOWN"),
    ("end-10", "DELETE", f"{ABSENT}/blobs/{NOTHING}", {}, 404, "BLOB_UNKNOWN"),
    ("end-12", "GET", f"{ABSENT}/referrers/latest", {}, 400, "DIGEST_INVALID"),
    ("end-13", "GET", f"{FIRST}/{SESSION}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
    ("end-14", "DELETE", f"{FIRST}/{SESSION}", {}, 404, "BLOB_UPLOAD_UNKNOWN"),
)


@pytest.mark.parametrize(("method", "path", "query", "status", "code"), [one[1:] for one in UNKNOWN])
def test_an_endpoint_without_its_object_says_so_in_the_form_of_the_specification(
    client, method, path, query, status, code
):
    answer = client.request(method, f"/v2/{path}", params=query)
    assert (answer.status_code, only_error(answer)) == (status, code)
    if method == "GET" and "uploads" not in path and status == 404:
        head = client.head(f"/v2/{path}")
        if head.status_code != 405:  # a list has no HEAD
            assert (head.status_code, head.content) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("HEAD", f"{FIRST}/blobs/{NOTHING}"),
        ("GET", f"{FIRST}/manifests/v1"),
        ("POST", f"{FIRST}/blobs/uploads/"),
        ("PATCH", f"{FIRST}/{SESSION}"),
        ("PUT", f"{FIRST}/{SESSION}?digest={NOTHING}"),
        ("PUT", f"{FIRST}/manifests/v1"),
        ("GET", f"{FIRST}/tags/list"),
        ("DELETE", f"{FIRST}/manifests/v1"),
        ("DELETE", f"{FIRST}/blobs/{NOTHING}"),
        ("GET", f"{FIRST}/referrers/{NOTHING}"),
    ],
)
def test_every_endpoint_asks_a_stranger_who_it_is(audited, method, path):
    answer = httpx.request(method, f"http://{audited.host}/v2/{path}", timeout=60)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].partition(" ")[0] in {"Basic", "Bearer"}
    if method != "HEAD":
        assert only_error(answer) == "UNAUTHORIZED"


def test_support_is_determined_by_get_and_head(client):
    for answer in (client.get("/v2/"), client.head("/v2/")):
        assert answer.status_code == 200


def test_with_tokens_that_are_made_for_one_thing_each_a_repository_is_pushed_to_and_read(by_token):
    data = os.urandom(100)
    digest = Digest.of(data)
    for repository in (SECOND, FIRST):
        path = f"/v2/{repository}/blobs/{digest}"
        assert by_token.head(path).status_code == 404
        if repository == SECOND:
            assert post_put(by_token, SECOND, digest, data).status_code == 201
        else:
            mounted = by_token.post(f"/v2/{FIRST}/blobs/uploads/", params={"mount": digest, "from": SECOND})
            assert mounted.status_code == 201
        assert by_token.get(path).content == data
        location = start(by_token, repository).headers["Location"]
        assert by_token.get(location).status_code == 204
    for repository in (SECOND, FIRST):
        assert by_token.delete(f"/v2/{repository}/blobs/{digest}").status_code == 202
        assert by_token.get(f"/v2/{repository}/blobs/{digest}").status_code == 404


def test_an_upload_has_a_session_of_its_own_and_none_after_its_end(client):
    locations = {start(client).headers["Location"] for _ in range(3)}
    assert len(locations) == 3
    location = locations.pop()
    data = os.urandom(100)
    assert client.get(location).status_code == 204
    done = send(client, "PUT", with_digest(location, Digest.of(data)), data)
    assert done.status_code == 201
    after = send(client, "PUT", with_digest(location, Digest.of(data)), data)
    assert (after.status_code, only_error(after)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_chunk_is_answered_with_where_to_go_on_and_how_far_it_got(client):
    location = start(client).headers["Location"]
    answer = send(client, "PATCH", location, b"0123456789", 0)
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-9")
    asked = client.get(answer.headers["Location"])
    assert (asked.status_code, asked.headers["Range"], asked.content) == (204, "0-9", b"")
    assert asked.headers["Location"]


@pytest.mark.parametrize("said", ["10-19", "0-19", "5-14", "nonsense", "0-"])
def test_a_chunk_that_is_not_the_next_one_is_416_and_changes_nothing(client, said):
    location = send(client, "PATCH", start(client).headers["Location"], b"0123456789", 0).headers["Location"]
    wrong = {"Content-Range": "20-29"} if said == "10-19" else {"Content-Range": said}
    answer = client.patch(location, content=b"x" * 10, headers=wrong)
    assert (answer.status_code, only_error(answer)) == (416, "BLOB_UPLOAD_INVALID")
    assert client.get(location).headers["Range"] == "0-9"


def test_a_blob_that_is_there_is_taken_again(client):
    data = os.urandom(100)
    for push in (post_put, post_only, post_put):
        answer = push(client, FIRST, Digest.of(data), data)
        assert answer.status_code == 201
        assert client.get(answer.headers["Location"]).content == data


def test_a_head_of_a_blob_says_what_a_get_would(client):
    data = os.urandom(100)
    post_put(client, FIRST, Digest.of(data), data)
    path = f"/v2/{FIRST}/blobs/{Digest.of(data)}"
    head, get = client.head(path), client.get(path)
    for name in ("Content-Length", "Content-Type", "Docker-Content-Digest", "Accept-Ranges"):
        assert head.headers[name] == get.headers[name]
    again = client.get(path, headers={"If-None-Match": f'"{Digest.of(data)}"'})
    assert (again.status_code, again.content) == (304, b"")


def test_a_tag_moves_and_what_it_named_stays_by_digest(client, image):
    (old,) = image.manifests
    newer = json.dumps({**json.loads(image.manifests[old]), "annotations": {"n": "2"}}, indent=3).encode()
    for raw in (image.manifests[old], newer):
        answer = put(client, raw, "moving")
        assert answer.status_code == 201
        found = client.get(f"/v2/{FIRST}/manifests/moving")
        assert (found.content, found.headers["Docker-Content-Digest"]) == (raw, Digest.of(raw))
    for raw in (image.manifests[old], newer):
        assert client.get(f"/v2/{FIRST}/manifests/{Digest.of(raw)}").content == raw
    assert client.get(f"/v2/{FIRST}/tags/list").json()["tags"].count("moving") == 1


def test_a_deleted_tag_leaves_its_manifest_and_a_deleted_manifest_no_tag(client, image):
    ((digest, raw),) = image.manifests.items()
    for tag in ("one", "two"):
        assert put(client, raw, tag).status_code == 201
    gone = client.delete(f"/v2/{FIRST}/manifests/one")
    assert (gone.status_code, gone.content) == (202, b"")
    assert client.get(f"/v2/{FIRST}/manifests/one").status_code == 404
    assert client.get(f"/v2/{FIRST}/manifests/two").content == raw
    assert client.delete(f"/v2/{FIRST}/manifests/{digest}").status_code == 202
    for target in ("two", digest):
        answer = client.get(f"/v2/{FIRST}/manifests/{target}")
        assert (answer.status_code, only_error(answer)) == (404, "MANIFEST_UNKNOWN")
    assert not {"one", "two"} & set(client.get(f"/v2/{FIRST}/tags/list").json()["tags"])
    assert put(client, raw, "two").status_code == 201
    assert client.get(f"/v2/{FIRST}/manifests/two").content == raw


@pytest.mark.parametrize(("length", "status"), [(128, 201), (129, 400)])
def test_a_tag_has_at_most_128_characters(client, image, length, status):
    (raw,) = image.manifests.values()
    assert put(client, raw, "t" * length).status_code == status


@pytest.mark.parametrize("name", ["conformance/a__b", "conformance/a--b.c_d", "conformance/0/1/2/3"])
def test_a_repository_is_named_by_the_grammar_of_the_specification(client, name):
    data = os.urandom(10)
    assert post_put(client, name, Digest.of(data), data).status_code == 201


@pytest.mark.parametrize("name", ["conformance/a..b", "conformance/-a", "conformance/A", "conf//a", "a___b"])
def test_a_repository_of_another_name_is_refused(client, name):
    answer = client.get(f"/v2/{name}/tags/list")
    assert (answer.status_code, only_error(answer)) == (400, "NAME_INVALID")


def test_a_manifest_of_another_type_than_it_is_pushed_as_is_refused(client, image):
    (raw,) = image.manifests.values()
    answer = put(client, raw, "wrong", OCI_INDEX)
    assert (answer.status_code, only_error(answer)) == (400, "MANIFEST_INVALID")


def test_a_manifest_is_answered_whatever_a_client_accepts(client, image):
    (raw,) = image.manifests.values()
    put(client, raw, "accepted")
    for accept in ("application/json", "*/*", OCI_INDEX):
        answer = client.get(f"/v2/{FIRST}/manifests/accepted", headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, OCI_MANIFEST)


def test_the_list_of_tags_links_on_only_while_there_are_more(client, image):
    (raw,) = image.manifests.values()
    for tag in ("a1", "a2", "a3"):
        put(client, raw, tag)
    every = client.get(f"/v2/{FIRST}/tags/list").json()
    assert every["name"] == FIRST
    exact = client.get(f"/v2/{FIRST}/tags/list", params={"n": len(every["tags"])})
    assert (exact.json(), "Link" in exact.headers) == (every, False)
    none = client.get(f"/v2/{FIRST}/tags/list", params={"n": 0})
    assert (none.json()["tags"], "Link" in none.headers) == ([], False)
    page = client.get(f"/v2/{FIRST}/tags/list", params={"n": 1, "last": "a1"})
    assert page.json()["tags"] == ["a2"]
    assert page.headers["Link"].endswith('rel="next"')


def test_a_referrer_is_listed_while_it_is_there_and_outlives_its_subject(client, image):
    ((digest, raw),) = image.manifests.items()
    put(client, raw, "subject")
    content = ContentSet()
    content.blob(b"{}", "application/vnd.oci.empty.v1+json")
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest.of(b"{}"), "size": 2}
    post_put(client, FIRST, Digest.of(b"{}"), b"{}")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(raw)}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": EXAMPLE, "subject": subject}
    referrer = json.dumps({**manifest, "config": empty, "layers": [empty], "annotations": {"a": "b"}}).encode()
    pushed = put(client, referrer, Digest.of(referrer))
    assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, digest)
    client.delete(f"/v2/{FIRST}/manifests/{digest}")
    listed = client.get(f"/v2/{FIRST}/referrers/{digest}")
    assert (listed.status_code, listed.headers["Content-Type"]) == (200, OCI_INDEX)
    (entry,) = listed.json()["manifests"]
    assert entry == {
        **{"mediaType": OCI_MANIFEST, "digest": Digest.of(referrer), "size": len(referrer)},
        **{"artifactType": EXAMPLE, "annotations": {"a": "b"}},
    }
    other = client.get(f"/v2/{FIRST}/referrers/{digest}", params={"artifactType": "application/none"})
    assert (other.json()["manifests"], other.headers["OCI-Filters-Applied"]) == ([], "artifactType")
    client.delete(f"/v2/{FIRST}/manifests/{Digest.of(referrer)}")
    assert client.get(f"/v2/{FIRST}/referrers/{digest}").json()["manifests"] == []
