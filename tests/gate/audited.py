"""A repository that is only audited, and requests of the distribution specification v1.1 that tests make of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from compliance.oci.digest import Digest

PASSWORD: Final = "correct horse"
FIRST: Final = "conformance/first"
SECOND: Final = "conformance/second"

CODES: Final = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
}
"""All that an answer of 4xx may hold (distribution specification v1.1, "Error Codes")."""

AUDIT_ONLY: Final = """\
name: conformance
mode: audit
applies-to: {repositories: ["conformance/**"]}
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
"""


def with_digest(location: str, digest: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{urlencode([*parse_qsl(parts.query), ('digest', digest)])}"


def start(client: httpx.Client, repository: str = FIRST, **query: str) -> httpx.Response:
    answer = client.post(f"/v2/{repository}/blobs/uploads/", params=query)
    assert answer.status_code == 202
    return answer


def send(
    client: httpx.Client, method: str, location: str, data: bytes, first: int | None = None
) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream"}
    if first is not None and data:
        headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
    return client.request(method, location, content=data, headers=headers)


def post_only(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> httpx.Response:
    return client.post(f"/v2/{repository}/blobs/uploads/?{urlencode({'digest': digest})}", content=data)


def post_put(client: httpx.Client, repository: str, digest: Digest, data: bytes) -> httpx.Response:
    location = start(client, repository).headers["Location"]
    return send(client, "PUT", with_digest(location, digest), data)


def only_error(answer: httpx.Response) -> str:
    """The code of an answer that has the form of an error, one of those that the specification lists."""
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert "\n" not in error["message"]
    assert error["code"] in CODES
    return str(error["code"])


def media_type_of(raw: bytes) -> str:
    return httpx.Response(200, content=raw).json()["mediaType"]
