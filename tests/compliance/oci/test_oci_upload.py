"""Blobs reach a real registry whole over connections that are cut, and one that is busy.

CNCF distribution drops an upload that was cut within a request: there the blob begins anew. That the rest
alone is sent where a registry keeps what came before is tested with the gate, which does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.retries import Retries
from tests.cutting_proxy import CuttingProxy, cutting_proxy

pytestmark = pytest.mark.acceptance

HASTY = Retries(tries=3, first_wait=0.01, longest_wait=0.05)
DATA = os.urandom(8_000_000)
DIGEST = Digest.of(DATA)
BUSY = b"HTTP/1.1 %s\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def proxy(start_registry) -> Iterator[CuttingProxy]:
    with cutting_proxy(start_registry()) as running:
        yield running


@pytest.fixture
def client(proxy: CuttingProxy) -> Iterator[RegistryClient]:
    with RegistryClient(proxy.host, retries=HASTY) as opened:
        yield opened


def push(client: RegistryClient, data: bytes = DATA, repository: str = "team/a") -> tuple[bool, list[int]]:
    seen: list[int] = []
    sent = client.push_blob(repository, Digest.of(data), len(data), lambda: io.BytesIO(data), seen.append)
    return sent, seen


def stored(client: RegistryClient, data: bytes = DATA) -> bytes:
    with client.open_blob("team/a", Digest.of(data)) as chunks:
        return b"".join(chunks)


def test_a_cut_upload_comes_to_its_end(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.cuts = [6_000_000]
    sent, seen = push(client)
    assert sent
    assert sum(seen) == len(DATA)
    assert stored(client) == DATA


def test_a_cut_before_anything_arrived_is_tried_again(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.cuts = [10, 100]
    push(client)
    assert stored(client) == DATA


def test_cuts_without_end_are_given_up(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.cuts = [10] * 3
    with pytest.raises(Unavailable):
        push(client)
    assert proxy.cuts == []


def test_a_small_blob_is_sent_again_as_a_whole(proxy: CuttingProxy, client: RegistryClient) -> None:
    data = DATA[:500_000]
    proxy.cuts = [300_000]
    sent, seen = push(client, data)
    assert sent
    assert sum(seen) == len(data)
    assert stored(client, data) == data


@pytest.mark.parametrize("size", [0, 1, 100, (1 << 20) + 1])
def test_blobs_of_any_size_arrive(client: RegistryClient, size: int) -> None:
    assert push(client, DATA[:size])[0]
    assert stored(client, DATA[:size]) == DATA[:size]


@pytest.mark.parametrize("size", [100_000, len(DATA)])
def test_a_lost_answer_to_the_last_request_is_no_failure(
    proxy: CuttingProxy, client: RegistryClient, size: int
) -> None:
    proxy.lose = b"201 Created"
    assert push(client, DATA[:size])[0]
    assert proxy.lose == b""
    assert stored(client, DATA[:size]) == DATA[:size]


def test_a_lost_answer_to_the_stream_is_asked_for(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.lose = b"Range: 0-7999999"
    push(client)
    assert proxy.lose == b""
    assert stored(client) == DATA


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"500 Internal Server Error", b"503 Unavailable"])
def test_a_busy_registry_is_asked_again(proxy: CuttingProxy, client: RegistryClient, status: bytes) -> None:
    proxy.answers = [BUSY % status] * 2
    push(client)
    assert stored(client) == DATA


def test_a_registry_that_stays_busy_is_told(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.answers = [BUSY % b"503 Service Unavailable"] * 3
    with pytest.raises(RegistryError) as caught:
        push(client)
    assert (caught.value.status, caught.value.retry_after) == (503, 0.0)


def test_a_refusal_is_not_tried_again(proxy: CuttingProxy, client: RegistryClient) -> None:
    proxy.answers = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    pauses: list[float] = []
    with pytest.raises(RegistryError) as caught:
        client.push_blob("team/a", DIGEST, len(DATA), lambda: io.BytesIO(DATA), pause=pauses.append)
    assert caught.value.status == 403
    assert pauses == []


def test_a_manifest_is_sent_again_after_a_cut(proxy: CuttingProxy, client: RegistryClient) -> None:
    raw = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    proxy.cuts = [50]
    digest = client.put_manifest("team/a", "v1", raw, "application/vnd.oci.image.index.v1+json")
    assert client.get_manifest("team/a", "v1").digest == digest


def test_waits_grow_and_the_servers_wish_counts() -> None:
    retries = Retries(first_wait=1, longest_wait=10)
    assert [retries.wait(failures) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 10]
    assert (retries.wait(1, 7.0), retries.wait(1, 3600.0)) == (7.0, 10.0)
