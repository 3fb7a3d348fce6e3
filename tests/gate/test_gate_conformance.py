"""A repository that is only audited is a plain registry: every workflow of the distribution specification v1.1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final
from urllib.parse import urljoin

import httpx
import pytest

from compliance.oci.digest import Digest
from tests.gate.audited import (
    AUDIT_ONLY,
    FIRST,
    PASSWORD,
    SECOND,
    media_type_of,
    only_error,
    post_only,
    post_put,
    send,
    start,
    with_digest,
)
from tests.gate.content_sets import EXAMPLE, OCI_INDEX, OCI_MANIFEST, OTHER, SETS, ContentSet

pytestmark = pytest.mark.acceptance

CHUNK: Final = 1024


@pytest.fixture(scope="module")
def audited(tmp_path_factory, module_gate):
    return module_gate(tmp_path_factory.mktemp("audited"), {"conformance.yaml": AUDIT_ONLY})


@pytest.fixture
def client(audited) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{audited.host}", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


def streamed(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> httpx.Response:
    location = start(client, repository).headers["Location"]
    answer = client.patch(location, content=iter([data[:100], data[100:]]))
    assert answer.status_code == 202
    return client.put(with_digest(answer.headers["Location"], digest), content=b"")


def chunked(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> httpx.Response:
    location = start(client, repository).headers["Location"]
    for first in range(0, len(data), CHUNK):
        answer = send(client, "PATCH", location, data[first : first + CHUNK], first)
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{min(first + CHUNK, len(data)) - 1}"
        location = answer.headers["Location"]
    return client.put(with_digest(location, digest), content=b"")


def chunked_last_by_put(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> httpx.Response:
    location = start(client, repository).headers["Location"]
    last = (len(data) - 1) // CHUNK * CHUNK
    for first in range(0, last, CHUNK):
        location = send(client, "PATCH", location, data[first : first + CHUNK], first).headers["Location"]
    return send(client, "PUT", with_digest(location, digest), data[last:], last)


WAYS: Final = {way.__name__: way for way in (post_only, post_put, streamed, chunked, chunked_last_by_put)}


def assert_taken(client: httpx.Client, answer: httpx.Response, digest: Digest, data: bytes) -> None:
    assert answer.status_code == 201, answer.text
    assert answer.headers["Docker-Content-Digest"] == digest
    assert client.get(answer.headers["Location"]).content == data


def assert_readable(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> None:
    path = f"/v2/{repository}/blobs/{digest}"
    for answer in (client.head(path), client.get(path)):
        assert answer.status_code == 200
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["Docker-Content-Digest"] == digest
    assert client.get(path).content == data


def assert_deleted(client: httpx.Client, path: str) -> None:
    assert client.delete(path).status_code == 202
    assert client.head(path).status_code == 404
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 2, 3 * CHUNK - 5])
def test_a_blob_is_pushed_in_every_way_pulled_and_deleted(client, way, algorithm, size):
    data = b"{}" if size == 2 else os.urandom(size)
    digest = Digest.of(data, algorithm)
    assert_taken(client, WAYS[way](client, FIRST, digest, data), digest, data)
    assert_readable(client, FIRST, digest, data)
    assert_deleted(client, f"/v2/{FIRST}/blobs/{digest}")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", WAYS)
def test_bytes_that_do_not_have_their_digest_are_not_kept(client, way, algorithm):
    data = os.urandom(2 * CHUNK)
    digest = Digest.of(data, algorithm)
    answer = WAYS[way](client, FIRST, digest, data + b"oh no")
    assert (answer.status_code, only_error(answer)) == (400, "DIGEST_INVALID")
    assert client.head(f"/v2/{FIRST}/blobs/{digest}").status_code == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("by_put", [False, True])
def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(client, algorithm, by_put):
    data = os.urandom(3 * CHUNK - 5)
    digest = Digest.of(data, algorithm)
    location, sent = start(client).headers["Location"], 0
    while sent < len(data):
        ahead = sent + CHUNK if sent + CHUNK < len(data) else 0
        last = by_put and ahead + CHUNK >= len(data)
        target = with_digest(location, digest) if last else location
        wrong = send(client, "PUT" if last else "PATCH", target, data[ahead : ahead + CHUNK], ahead)
        assert (wrong.status_code, only_error(wrong)) == (416, "BLOB_UPLOAD_INVALID")
        asked = client.get(target)
        assert asked.status_code == 204
        assert asked.headers["Range"] == f"0-{max(sent - 1, 0)}"
        answer = send(client, "PATCH", asked.headers["Location"], data[sent : sent + CHUNK], sent)
        assert answer.status_code == 202
        location, sent = answer.headers["Location"], sent + CHUNK
    assert_taken(client, client.put(with_digest(location, digest), content=b""), digest, data)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("source", [SECOND, None])
def test_a_blob_is_mounted_from_a_named_repository_and_from_wherever_it_is(client, algorithm, source):
    data = os.urandom(CHUNK)
    digest = Digest.of(data, algorithm)
    post_put(client, SECOND, digest, data)
    query = {"mount": digest} if source is None else {"mount": digest, "from": source}
    answer = client.post(f"/v2/{FIRST}/blobs/uploads/", params=query)
    assert_taken(client, answer, digest, data)
    assert_readable(client, FIRST, digest, data)
    assert_deleted(client, f"/v2/{FIRST}/blobs/{digest}")
    assert_readable(client, SECOND, digest, data)


@pytest.mark.parametrize("query", [{"from": SECOND}, {"from": "conformance/unheard-of"}, {}])
def test_a_mount_of_what_is_not_there_begins_an_upload(client, query):
    data = os.urandom(CHUNK)
    digest = Digest.of(data)
    location = start(client, mount=digest, **query).headers["Location"]
    assert_taken(client, send(client, "PUT", with_digest(location, digest), data), digest, data)


def test_an_upload_is_given_up(client):
    location = start(client).headers["Location"]
    assert client.delete(location).status_code == 204
    for answer in (client.get(location), client.patch(location, content=b"x"), client.delete(location)):
        assert (answer.status_code, only_error(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("500-1499", 500, 1499), ("500-", 500, 2047), ("-500", 1548, 2047), ("2000-5000", 2000, 2047)],
)
def test_part_of_a_blob_is_read(client, algorithm, asked, first, last):
    data = os.urandom(2048)
    digest = Digest.of(data, algorithm)
    post_put(client, FIRST, digest, data)
    answer = client.get(f"/v2/{FIRST}/blobs/{digest}", headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, answer.content) == (206, data[first : last + 1])
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/2048"


@pytest.mark.parametrize("asked", ["500-0", "5000-10000"])
def test_a_range_that_a_blob_does_not_have_is_said_so(client, asked):
    data = os.urandom(2048)
    post_put(client, FIRST, Digest.of(data), data)
    answer = client.get(f"/v2/{FIRST}/blobs/{Digest.of(data)}", headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, only_error(answer)) == (416, "SIZE_INVALID")


@pytest.mark.parametrize("name", SETS)
def test_content_is_pushed_listed_pulled_and_deleted(client, name):
    content = SETS[name]()
    for digest, data in content.blobs.items():
        assert_taken(client, post_put(client, FIRST, digest, data), digest, data)
    for digest, raw in content.manifests.items():
        put_manifest(client, digest, raw, digest)
    for tag, digest in content.tags.items():
        put_manifest(client, tag, content.manifests[digest], digest)
    assert_listed(client, content)
    for target, digest in (*content.tags.items(), *((digest, digest) for digest in content.manifests)):
        assert_manifest(client, target, digest, content.manifests[digest])
    for digest, data in content.blobs.items():
        assert_readable(client, FIRST, digest, data)
    assert_referred_to(client, content)
    for target in (*content.tags, *reversed(content.manifests)):
        assert_deleted(client, f"/v2/{FIRST}/manifests/{target}")
    for digest in content.blobs:
        assert_deleted(client, f"/v2/{FIRST}/blobs/{digest}")
    for subject in content.referrers:
        assert client.get(f"/v2/{FIRST}/referrers/{subject}").json()["manifests"] == []


def put_manifest(client: httpx.Client, target: str, raw: bytes, digest: Digest) -> None:
    media_type = media_type_of(raw)
    answer = client.put(f"/v2/{FIRST}/manifests/{target}", content=raw, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Docker-Content-Digest"] == digest
    subject = httpx.Response(200, content=raw).json().get("subject")
    assert answer.headers.get("OCI-Subject") == (subject and subject["digest"])
    pulled = client.get(answer.headers["Location"])
    assert (pulled.content, pulled.headers["Content-Type"]) == (raw, media_type)


def assert_manifest(client: httpx.Client, target: str, digest: Digest, raw: bytes) -> None:
    path = f"/v2/{FIRST}/manifests/{target}"
    for answer in (client.head(path), client.get(path)):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == media_type_of(raw)
        assert answer.headers["Content-Length"] == str(len(raw))
        assert answer.headers["Docker-Content-Digest"] == digest
    assert client.get(path).content == raw
    assert client.head(path).content == b""


def assert_listed(client: httpx.Client, content: ContentSet) -> None:
    listed = client.get(f"/v2/{FIRST}/tags/list")
    if listed.status_code == 404:
        assert not content.tags
        return
    tags = listed.json()["tags"]
    assert set(content.tags) <= set(tags)
    assert tags == sorted(tags)
    if len(tags) >= 2:
        after = client.get(f"/v2/{FIRST}/tags/list", params={"last": tags[0]})
        assert after.json()["tags"] == tags[1:]


def assert_referred_to(client: httpx.Client, content: ContentSet) -> None:
    for subject, expected in content.referrers.items():
        answer = client.get(f"/v2/{FIRST}/referrers/{subject}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, OCI_INDEX)
        assert "OCI-Filters-Applied" not in answer.headers
        document = answer.json()
        assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
        assert by_digest(document["manifests"]) == by_digest(expected)
        for kind in {entry["artifactType"] for entry in expected}:
            filtered = client.get(f"/v2/{FIRST}/referrers/{subject}", params={"artifactType": kind})
            assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
            of_kind = [entry for entry in expected if entry["artifactType"] == kind]
            assert by_digest(filtered.json()["manifests"]) == by_digest(of_kind)


def by_digest(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(entries, key=lambda entry: str(entry["digest"]))


def test_what_nothing_refers_to_has_an_empty_list_of_referrers(client):
    for query in ({}, {"artifactType": EXAMPLE}, {"artifactType": OTHER}):
        answer = client.get(f"/v2/conformance/unheard-of/referrers/{Digest.of(os.urandom(8))}", params=query)
        assert (answer.status_code, answer.json()["manifests"]) == (200, [])


def test_tags_come_in_pages_that_link_to_the_next(client):
    content = SETS["image"]()
    (digest,) = content.manifests
    for blob, data in content.blobs.items():
        post_put(client, "conformance/paged", blob, data)
    tags = ["Upper", "_x", *(f"v{number}" for number in range(5))]
    for tag in reversed(tags):
        path = f"/v2/conformance/paged/manifests/{tag}"
        headers = {"Content-Type": OCI_MANIFEST}
        assert client.put(path, content=content.manifests[digest], headers=headers).status_code == 201
    found: list[str] = []
    url = "/v2/conformance/paged/tags/list?n=2"
    while url:
        page = client.get(url)
        assert len(page.json()["tags"]) <= 2
        found += page.json()["tags"]
        following = page.links.get("next", {}).get("url")
        url = urljoin(url, following) if following else ""
    assert found == sorted(tags)
    assert client.get("/v2/conformance/paged/tags/list?n=0").json()["tags"] == []
    assert client.get("/v2/conformance/paged/tags/list?last=v4").json()["tags"] == []


def test_a_repository_whose_tags_are_gone_is_known_and_empty(client):
    post_put(client, "conformance/bare", Digest.of(b"bare"), b"bare")
    answer = client.get("/v2/conformance/bare/tags/list")
    assert (answer.status_code, answer.json()) == (200, {"name": "conformance/bare", "tags": []})
    unknown = client.get("/v2/conformance/unheard-of/tags/list")
    assert (unknown.status_code, only_error(unknown)) == (404, "NAME_UNKNOWN")


def test_a_manifest_under_a_digest_that_it_does_not_have_is_refused(client):
    content = SETS["image"]()
    (digest,) = content.manifests
    for blob, data in content.blobs.items():
        post_put(client, FIRST, blob, data)
    raw = content.manifests[digest] + b"  "
    answer = client.put(
        f"/v2/{FIRST}/manifests/{digest}", content=raw, headers={"Content-Type": media_type_of(raw)}
    )
    assert (answer.status_code, only_error(answer)) == (400, "DIGEST_INVALID")
    assert client.head(f"/v2/{FIRST}/manifests/{digest}").status_code == 404


@pytest.mark.parametrize(
    "digest", ["sha256:baddigeststring", "sha256:" + "A" * 64, "sha512:" + "0" * 64, "md5:00"]
)
def test_a_digest_of_invalid_form_is_refused_everywhere(client, digest):
    location = start(client).headers["Location"]
    image = next(iter(SETS["image"]().manifests.values()))
    for answer in (
        client.get(f"/v2/{FIRST}/manifests/{digest}"),
        client.put(f"/v2/{FIRST}/manifests/{digest}", content=image, headers={"Content-Type": OCI_MANIFEST}),
        client.delete(f"/v2/{FIRST}/manifests/{digest}"),
        client.get(f"/v2/{FIRST}/blobs/{digest}"),
        client.delete(f"/v2/{FIRST}/blobs/{digest}"),
        client.get(f"/v2/{FIRST}/referrers/{digest}"),
        client.put(with_digest(location, digest), content=b"x"),
        client.post(f"/v2/{FIRST}/blobs/uploads/", params={"digest": digest}, content=b"x"),
        client.post(f"/v2/{FIRST}/blobs/uploads/", params={"mount": digest, "from": SECOND}),
    ):
        assert (answer.status_code, only_error(answer)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"manifests/{Digest.of(b'nothing')}", "MANIFEST_UNKNOWN"),
        ("manifests/nothing", "MANIFEST_UNKNOWN"),
        (f"blobs/{Digest.of(b'nothing')}", "BLOB_UNKNOWN"),
        (f"blobs/{Digest.of(b'nothing', 'sha512')}", "BLOB_UNKNOWN"),
        ("tags/list", "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_404_with_its_code(client, path, code):
    answer = client.get(f"/v2/conformance/unheard-of/{path}")
    assert (answer.status_code, only_error(answer)) == (404, code)


def test_a_manifest_of_blobs_that_were_not_pushed_is_refused(client):
    content = SETS["image"]()
    (digest,) = content.manifests
    raw = content.manifests[digest]
    answer = client.put(f"/v2/{FIRST}/manifests/v1", content=raw, headers={"Content-Type": OCI_MANIFEST})
    assert (answer.status_code, only_error(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_a_manifest_over_the_limit_is_refused_and_one_at_it_is_not(client):
    content = ContentSet()
    content.image("large", annotations={"padding": "A" * (4 << 20)})
    (raw,) = content.manifests.values()
    for size, status in ((4 << 20, 400), ((4 << 20) + 1, 413)):
        answer = client.put(
            f"/v2/{FIRST}/manifests/large", content=raw[:size].ljust(size), headers={"Content-Type": OCI_MANIFEST}
        )
        assert answer.status_code == status


def test_what_the_audit_would_refuse_is_told_and_recorded(client, audited):
    content = SETS["image"]()
    for blob, data in content.blobs.items():
        post_put(client, "conformance/told", blob, data)
    (raw,) = content.manifests.values()
    path = "/v2/conformance/told/manifests/v1"
    answer = client.put(path, content=raw, headers={"Content-Type": OCI_MANIFEST})
    assert answer.headers["Warning"].startswith('299 - "AUDIT ONLY, WOULD BE REFUSED conformance/told: ')
    decision = client.get(answer.headers["Mlgate-Decision"]).json()
    assert (decision["verdict"], decision["mode"]) == ("refused", "audit")
    assert "AUDIT ONLY, WOULD BE REFUSED conformance/told" in audited.log
    assert client.get(path).headers["Mlgate-Decision"] == answer.headers["Mlgate-Decision"]


def test_beside_the_audited_repository_nothing_is_let_in(client, audited):
    content = SETS["image"]()
    for blob, data in content.blobs.items():
        post_put(client, "serving/image", blob, data)
    (raw,) = content.manifests.values()
    answer = client.put("/v2/serving/image/manifests/v1", content=raw, headers={"Content-Type": OCI_MANIFEST})
    assert (answer.status_code, only_error(answer)) == (403, "DENIED")
    assert client.head("/v2/serving/image/manifests/v1").status_code == 404
