"""What is remembered of what may be read: changes of this gate count at once, others soon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Index
from gate import readable
from gate.readable import Readable
from gate.schema import Kind, StoredManifest
from gate.store import Store

AT = datetime(2026, 11, 22, tzinfo=UTC)
IMAGE, LAYER = Digest.of(b"image"), Digest.of(b"layer")


@pytest.fixture
def store(place) -> Iterator[Store]:
    opened = Store(place)
    yield opened
    opened.close()


def manifest(raw: bytes = b"{}") -> StoredManifest:
    return StoredManifest(
        repository="a", digest=IMAGE, media_type=OCI_MANIFEST, kind=Kind.IMAGE, raw=raw, subject=None, at=AT
    )


def test_what_this_gate_changes_counts_at_once(store):
    asked = Readable(store, lambda: AT)

    async def run() -> None:
        assert await asked.manifest("a", "v1") is None
        assert await asked.blob("a", LAYER, published=True) is None
        store.blobs.keep("a", LAYER, LAYER)
        store.publish(manifest(), [LAYER], "v1")
        assert (await asked.manifest("a", "v1")).manifest.digest == IMAGE
        assert await asked.blob("a", LAYER, published=True) == LAYER
        store.untag("a", "v1")
        assert await asked.manifest("a", "v1") is None
        store.unpublish("a", IMAGE)
        assert await asked.manifest("a", IMAGE) is None
        assert await asked.blob("a", LAYER, published=True) is None
        assert await asked.blob("a", LAYER, published=False) == LAYER
        store.blobs.forget("a", LAYER)
        assert await asked.blob("a", LAYER, published=False) is None

    asyncio.run(run())


def test_what_another_gate_changes_counts_within_a_second(store, place):
    asked, other = Readable(store, lambda: AT), Store(place)

    async def run() -> None:
        store.publish(manifest(), [], "v1")
        assert await asked.manifest("a", "v1") is not None
        other.untag("a", "v1")
        await asyncio.sleep(readable.SECONDS + 0.05)
        assert await asked.manifest("a", "v1") is None

    asyncio.run(run())
    other.close()


def test_what_is_remembered_is_bounded_and_still_true(store):
    asked = Readable(store, lambda: AT, entries=2)

    async def run() -> None:
        store.publish(manifest(), [], "v1")
        for tag in ("v1", "v2", "v3", "v1"):
            assert (await asked.manifest("a", tag) is not None) == (tag == "v1")
            assert len(asked._answers) <= 2

    asyncio.run(run())


def test_large_manifests_are_not_remembered(store):
    asked = Readable(store, lambda: AT)

    async def run() -> None:
        store.publish(manifest(b" " * (readable.LARGE + 1)), [], "v1")
        assert await asked.manifest("a", "v1") is not None
        assert asked._answers == {}

    asyncio.run(run())


def test_an_index_is_whole_while_all_that_it_names_is_there(store):
    asked = Readable(store, lambda: AT)
    entry = Descriptor(media_type=OCI_MANIFEST, digest=IMAGE, size=2)
    raw = Index(manifests=(entry,)).to_json()
    index = StoredManifest(
        repository="a", digest=Digest.of(raw), media_type=OCI_INDEX, kind=Kind.INDEX, raw=raw, subject=None, at=AT
    )

    async def run() -> None:
        store.publish(manifest(), [], None)
        store.publish(index, [], "all")
        assert (await asked.manifest("a", "all")).whole
        store.unpublish("a", IMAGE)
        assert not (await asked.manifest("a", "all")).whole

    asyncio.run(run())
