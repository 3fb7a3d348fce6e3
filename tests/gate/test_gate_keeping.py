"""A registry that deletes nothing, takes no sha512 and collects what it does not know: none of it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from compliance.oci.digest import Digest
from tests.gate.conftest import PASSWORD, RunningGate, prepare
from tests.gate.content_sets import SETS, ContentSet
from tests.gate.registry_process import Registry
from tests.gate.test_gate_conformance import (
    AUDIT_ONLY,
    FIRST,
    assert_deleted,
    media_type_of,
    post_put,
    put_manifest,
)

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("behind") / "registry")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[RunningGate]:
    """Nothing is kept in the gate's own cache, so all bytes come from the registry."""
    root: Path = tmp_path_factory.mktemp("front")
    environment = {"MLGATE_CACHE_BYTES": "0"}
    running = prepare(root, {"conformance.yaml": AUDIT_ONLY}, ("--upstream", registry.url), environment)
    yield running.start()
    running.end()


@pytest.fixture
def client(audited: RunningGate) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{audited.host}", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


def push(client: httpx.Client, content: ContentSet) -> None:
    for digest, data in content.blobs.items():
        assert post_put(client, FIRST, digest, data).status_code == 201
    for digest, raw in content.manifests.items():
        put_manifest(client, digest, raw, digest)
    for tag, digest in content.tags.items():
        put_manifest(client, tag, content.manifests[digest], digest)


def assert_pulled(client: httpx.Client, content: ContentSet) -> None:
    for digest, raw in content.manifests.items():
        answer = client.get(f"/v2/{FIRST}/manifests/{digest}")
        assert (answer.content, answer.headers["Content-Type"]) == (raw, media_type_of(raw))
    for digest, data in content.blobs.items():
        assert client.get(f"/v2/{FIRST}/blobs/{digest}").content == data


def test_whatever_was_published_outlives_a_collection_of_garbage(client, registry):
    contents = [made() for made in SETS.values()]
    lost = b"pushed, and never named by a manifest"
    assert post_put(client, FIRST, Digest.of(lost), lost).status_code == 201
    for content in contents:
        push(client, content)
    registry.stop()
    registry.collect_garbage()
    registry.start()
    for content in contents:
        assert_pulled(client, content)
    assert client.get(f"/v2/{FIRST}/blobs/{Digest.of(lost)}").status_code == 404
    assert client.head(f"/v2/{FIRST}/blobs/{Digest.of(lost)}").status_code == 404


@pytest.mark.parametrize("name", ["image", "sha512", "non_distributable_layers", "referrers"])
def test_what_the_registry_does_not_delete_is_gone_all_the_same_and_can_come_back(client, registry, name):
    content = SETS[name]()
    push(client, content)
    for target in (*content.tags, *reversed(content.manifests)):
        assert_deleted(client, f"/v2/{FIRST}/manifests/{target}")
    for digest in content.blobs:
        assert_deleted(client, f"/v2/{FIRST}/blobs/{digest}")
    with registry.client() as behind:
        known = [digest for digest in content.blobs if digest.algorithm == "sha256"]
        assert all(behind.blob_size(FIRST, digest) is not None for digest in known)
    push(client, content)
    assert_pulled(client, content)


def test_what_was_put_into_the_registry_beside_the_gate_does_not_exist(client, registry, make_image):
    image = make_image()
    with registry.client() as behind:
        image.push(behind, "conformance/beside", "v1")
    for path in (
        "manifests/v1",
        f"manifests/{image.digest}",
        f"blobs/{image.manifest.layers[0].digest}",
        "tags/list",
    ):
        assert client.get(f"/v2/conformance/beside/{path}").status_code == 404
    answer = client.put(
        "/v2/conformance/beside/manifests/v2",
        content=image.raw,
        headers={"Content-Type": image.descriptor.media_type},
    )
    assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
