"""Blobs served from the gate's own copy: ranges, conditions, and both ways of sending."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from compliance.oci.digest import Digest
from gate.blob_file import BlobFile
from gate.wire import EXTENSION

DATA = bytes(range(256)) * 8
DIGEST = Digest.of(DATA)


def ask(
    path: Path, method: str = "GET", *, zero_copy: bool = False, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    path.write_bytes(DATA)
    sent: list[dict[str, Any]] = []
    body = io.BytesIO()

    async def send(message: Any) -> None:
        if message["type"] == EXTENSION:
            message["file"].seek(message["offset"])
            body.write(message["file"].read(message["count"]))
        elif message["type"] == "http.response.body":
            body.write(message.get("body", b""))
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is received")

    scope = {
        "type": "http",
        "method": method,
        "headers": [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()],
        "extensions": {EXTENSION: {}} if zero_copy else {},
    }
    asyncio.run(BlobFile(path.open("rb"), DIGEST)(scope, receive, send))
    start = sent[0]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body.getvalue()


@pytest.mark.parametrize("zero_copy", [False, True])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=-5000", 0, 2047),
        ("bytes=2000-5000", 2000, 2047),
    ],
)
def test_a_range_is_sent(tmp_path, asked, first, last, zero_copy):
    status, headers, body = ask(tmp_path / "blob", Range=asked, zero_copy=zero_copy)
    assert body == DATA[first : last + 1]
    assert headers["content-length"] == str(len(body))
    if len(body) < len(DATA):
        assert (status, headers["content-range"]) == (206, f"bytes {first}-{last}/2048")
    else:
        assert status == 200


@pytest.mark.parametrize("asked", ["bytes=500-0", "bytes=2048-", "bytes=5000-10000", "bytes=-0"])
def test_a_range_that_is_not_there_is_said_so(tmp_path, asked):
    status, headers, body = ask(tmp_path / "blob", Range=asked)
    assert (status, headers["content-range"]) == (416, "bytes */2048")
    assert b"SIZE_INVALID" in body


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=1-2,4-5", "bytes=-", "bytes=a-b", "bytes= 1-2", ""])
def test_what_is_no_single_range_of_bytes_gets_all(tmp_path, asked):
    status, _, body = ask(tmp_path / "blob", Range=asked)
    assert (status, body) == (200, DATA)


def test_a_range_of_another_version_gets_all(tmp_path):
    assert ask(tmp_path / "blob", Range="bytes=0-1", If_Range='"sha256:other"')[0] == 200
    assert ask(tmp_path / "blob", Range="bytes=0-1", If_Range=f'"{DIGEST}"')[0] == 206


def test_what_the_client_has_is_not_sent_again(tmp_path):
    status, headers, body = ask(tmp_path / "blob", If_None_Match=f'"{DIGEST}"')
    assert (status, body) == (304, b"")
    assert headers["docker-content-digest"] == DIGEST


def test_a_head_says_what_a_get_would(tmp_path):
    status, headers, body = ask(tmp_path / "blob", "HEAD")
    assert (status, headers["content-length"], body) == (200, "2048", b"")
