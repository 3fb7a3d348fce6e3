"""The cache of blobs in front of a real registry."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from compliance.errors import ComplianceError
from compliance.oci.registry import RegistryError
from gate.blob_cache import BlobCache
from tests.gate.registry_process import Registry

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("behind") / "registry")
    running.start()
    yield running
    running.stop()


def read(cache, client, repository, image):
    blobs = (image.manifest.config, *image.manifest.layers)
    with cache.layout(client, repository, (image.descriptor, image.raw), blobs) as layout:
        assert layout.index().manifests[0].digest == image.digest
        return {blob.digest: layout.read_bytes(blob.digest) for blob in blobs}


def kept(cache, tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "kept" / "blobs" / "sha256").iterdir())


def test_an_image_is_a_layout_for_as_long_as_it_is_read_and_its_blobs_are_kept(registry, make_image, tmp_path):
    image = make_image()
    cache = BlobCache(tmp_path / "cache", limit=1 << 20)
    with registry.client() as client:
        image.push_blobs(client, "team/cached")
        first = read(cache, client, "team/cached", image)
        assert list((tmp_path / "cache" / "open").iterdir()) == []
        assert len(kept(cache, tmp_path)) == 2
    # What is kept needs no registry: the client is closed.
    assert read(cache, client, "team/cached", image) == first


def test_what_was_not_used_for_longest_is_forgotten_first(registry, make_image, tmp_path):
    old, new = make_image({"app/a": os.urandom(5000)}), make_image({"app/b": os.urandom(5000)})
    cache = BlobCache(tmp_path / "cache", limit=12_000)
    with registry.client() as client:
        for image in (old, new):
            image.push_blobs(client, "team/lru")
            read(cache, client, "team/lru", image)
    assert new.manifest.layers[0].digest.hex in kept(cache, tmp_path)
    assert old.manifest.layers[0].digest.hex in kept(cache, tmp_path)
    cache = BlobCache(tmp_path / "cache", limit=6_000)
    with registry.client() as client:
        read(cache, client, "team/lru", new)
    assert new.manifest.layers[0].digest.hex in kept(cache, tmp_path)
    assert old.manifest.layers[0].digest.hex not in kept(cache, tmp_path)


def test_a_blob_that_is_missing_leaves_nothing_behind(registry, make_image, tmp_path):
    image = make_image()
    cache = BlobCache(tmp_path / "cache", limit=1 << 20)
    with registry.client() as client, pytest.raises(RegistryError):
        read(cache, client, "team/absent", image)
    assert kept(cache, tmp_path) == []
    assert list((tmp_path / "cache" / "open").iterdir()) == []


@pytest.mark.parametrize(
    "altered",
    [
        pytest.param(lambda data: data[::-1], id="other bytes"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit"),
        pytest.param(lambda data: data[:-1], id="cut short"),
        pytest.param(lambda data: data + b"\0", id="one byte more"),
        pytest.param(lambda data: b"", id="nothing"),  # noqa: ARG005 - as the others
    ],
)
def test_a_blob_that_is_altered_is_not_read_not_kept_and_not_sent(registry, make_image, tmp_path, altered):
    image = make_image({"app/a": os.urandom(200_000)})
    cache = BlobCache(tmp_path / "cache", limit=1 << 20)
    layer = image.manifest.layers[0].digest
    with registry.client() as client:
        image.push_blobs(client, "team/altered")
        stored = registry.blob_file(layer)
        true = stored.read_bytes()
        stored.write_bytes(altered(true))
        with pytest.raises(ComplianceError):
            read(cache, client, "team/altered", image)
        assert layer.hex not in kept(cache, tmp_path)
        assert cache.open(layer) is None
        assert list((tmp_path / "cache" / "open").iterdir()) == []
        # That one reading failed is not remembered either.
        stored.write_bytes(true)
        assert read(cache, client, "team/altered", image)[layer] == true


def test_what_a_killed_gate_left_half_read_is_swept_away(tmp_path):
    (tmp_path / "cache" / "open" / "left").mkdir(parents=True)
    BlobCache(tmp_path / "cache", limit=0)
    assert list((tmp_path / "cache" / "open").iterdir()) == []
