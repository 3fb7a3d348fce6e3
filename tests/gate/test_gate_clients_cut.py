"""Connections that break in the middle of a layer: what each client does; nothing half is ever readable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.gate.clients import NAMES, Client, client_of

pytestmark = pytest.mark.acceptance

DAEMONS = {"docker": "dockerd", "ctr": "containerd"}
LAYER = 8 << 20
CUT = 3 << 20

# What a client says when it gives up after one cut. One that is not here goes on by itself.
GIVES_UP_PUSHING = {
    "podman": "Error: writing blob: Patch ",
    "buildah": "writing blob: Patch ",
    "skopeo": "writing blob: Patch ",
    "ctr": "failed to copy: failed to do request: Put ",
}
GIVES_UP_PULLING = {
    "podman": "happened during read: unexpected EOF",
    "buildah": "happened during read: unexpected EOF",
    "skopeo": "happened during read: unexpected EOF",
}


@pytest.fixture
def proxy(gate) -> Iterator[CuttingProxy]:
    with cutting_proxy(gate.host) as running:
        yield running


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, tmp_path: Path, proxy: CuttingProxy) -> Iterator[Client]:
    daemon = request.getfixturevalue(DAEMONS[request.param]) if request.param in DAEMONS else None
    with client_of(request.param, tmp_path / tmp_path.name, proxy.host, daemon) as made:
        yield made


def test_a_push_that_is_cut_leaves_nothing_and_works_the_next_time(client, proxy, gate, make_image):
    image = make_image({"app/weights": os.urandom(LAYER)})
    proxy.cuts.append(CUT)
    pushed = client.push(image, "1.6")
    assert proxy.cuts == [], "the connection was not cut"
    if client.name in GIVES_UP_PUSHING:
        assert pushed.status != 0
        assert GIVES_UP_PUSHING[client.name] in pushed.line
        for user in ("ci", "pod"):
            with gate.client(user) as registry:
                assert not registry.has_manifest(client.repository, "1.6")
                assert registry.blob_size(client.repository, image.manifest.layers[0].digest) is None
        pushed = client.push(image, "1.6")
    assert pushed.status == 0, pushed.text
    pulled = client.pull("1.6")
    assert pulled.status == 0, pulled.text
    assert client.has(image)


def test_a_pull_that_is_cut_leaves_no_image_and_works_the_next_time(client, proxy, gate, make_image):
    image = make_image({"app/weights": os.urandom(LAYER)})
    with gate.client() as registry:
        image.push(registry, client.repository, "1.7")
    proxy.answer_cuts.append(CUT)
    pulled = client.pull("1.7")
    assert proxy.answer_cuts == [], "the connection was not cut"
    if client.name in GIVES_UP_PULLING:
        assert pulled.status != 0
        assert GIVES_UP_PULLING[client.name] in pulled.line
        assert not client.has(image)
        pulled = client.pull("1.7")
    assert pulled.status == 0, pulled.text
    assert client.has(image)
