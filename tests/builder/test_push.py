"""Pushing an image to a real registry: what it lacks and no more, through cuts, with mounts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.progress import Advance, Progress, Quiet
from builder.push import Pushed, push_image
from builder.pushed import PushedBlobs
from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, Descriptor, ImageConfig, Manifest, RootFs
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.retries import Retries
from tests.compliance.oci.conftest import start_registry  # noqa: F401 - a fixture
from tests.cutting_proxy import cutting_proxy

pytestmark = pytest.mark.acceptance

HASTY = Retries(tries=3, first_wait=0.01)


@dataclass
class Image:
    """An image of random layers, which are kept or replaced one by one."""

    layout: Layout
    layers: list[Descriptor]
    evidence: tuple[bytes, ...] = ()

    def replace(self, number: int, size: int) -> None:
        self.layers[number] = self.layout.write_bytes(os.urandom(size), OCI_LAYER_GZIP)

    def push(
        self,
        host: str,
        repository: str = "team/a",
        pushed: PushedBlobs | None = None,
        retries: Retries = HASTY,
        progress: Progress = Quiet(),  # noqa: B008 - without state
    ) -> Pushed:
        diff_ids = tuple(layer.digest for layer in self.layers)
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=diff_ids))
        manifest = Manifest(
            config=self.layout.write_bytes(config.to_json(), OCI_CONFIG), layers=tuple(self.layers)
        )
        stored = self.layout.write_bytes(manifest.to_json(), manifest.media_type)
        with RegistryClient(host, retries=retries) as client:
            return push_image(
                client,
                Reference.parse(f"{host}/{repository}:latest"),
                self.layout,
                stored,
                self.evidence,
                progress,
                workers=4,
                pushed=pushed,
            )


@pytest.fixture
def image(tmp_path: Path) -> Image:
    layout = Layout.create(tmp_path / "layout")
    sizes = (4_000_000, 2_500_000, 300_000, 10_000)
    return Image(layout, [layout.write_bytes(os.urandom(size), OCI_LAYER_GZIP) for size in sizes])


@pytest.fixture
def registry(start_registry) -> Iterator[str]:  # noqa: F811 - the fixture
    return start_registry()


def test_everything_goes_the_first_time_and_nothing_the_second(registry: str, image: Image) -> None:
    first = image.push(registry)
    assert (first.blobs_sent, first.blobs_present) == (5, 0)
    assert first.bytes_sent > 6_810_000
    second = image.push(registry)
    assert (second.blobs_sent, second.bytes_sent, second.blobs_present) == (0, 0, 5)
    assert second.reference == first.reference


class Meeting(Quiet):
    """Progress in which each sending thread waits, the first time, until all have begun; `sent` adds up."""

    def __init__(self, parties: int) -> None:
        self._together = threading.Barrier(parties)
        self._begun = threading.local()
        self._lock = threading.Lock()
        self.sent = 0

    @contextmanager
    def bytes(self, label: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's
        def advance(count: int) -> None:
            with self._lock:
                self.sent += count
            if not getattr(self._begun, "here", False):
                self._begun.here = True
                self._together.wait(timeout=120)

        yield advance


def test_blobs_go_side_by_side_and_the_progress_adds_up(registry: str, image: Image) -> None:
    progress = Meeting(4)  # as many as there are workers
    pushed = image.push(registry, progress=progress)
    assert pushed.blobs_sent == 5
    assert progress.sent == pushed.bytes_sent


@pytest.mark.parametrize(("number", "size"), [(0, 4_000_000), (2, 300_000), (3, 20_000)])
def test_after_one_change_little_more_than_the_changed_layer_goes(
    registry: str, image: Image, number: int, size: int
) -> None:
    image.push(registry)
    image.replace(number, size)
    pushed = image.push(registry)
    assert pushed.blobs_sent == 2  # the layer and the config
    assert pushed.bytes_sent <= size * 1.1


def test_what_another_repository_has_is_mounted(registry: str, image: Image, tmp_path: Path) -> None:
    pushed = PushedBlobs(Cache(tmp_path / "cache"))
    image.push(registry, "team/a", pushed)
    second = image.push(registry, "team/b", pushed)
    assert (second.blobs_sent, second.blobs_present) == (0, 5)
    unknown = image.push(registry, "team/c", PushedBlobs(Cache(tmp_path / "another-cache")))
    assert unknown.blobs_sent == 5


def test_a_record_that_is_wrong_costs_an_upload_only(registry: str, image: Image, tmp_path: Path) -> None:
    pushed = PushedBlobs(Cache(tmp_path / "cache"))
    for layer in image.layers:
        pushed.note(Reference.parse(f"{registry}/team/gone"), layer.digest)
    assert image.push(registry, "team/a", pushed).blobs_sent == 5


def test_cuts_are_got_over(registry: str, image: Image) -> None:
    with cutting_proxy(registry) as proxy:
        proxy.cuts = [2_000_000, 1_000_000, 200_000]
        assert image.push(proxy.host, retries=Retries(tries=6, first_wait=0.01)).blobs_sent == 5
        assert proxy.cuts == []
    with RegistryClient(registry) as client:
        for layer in image.layers:
            with client.open_blob("team/a", layer.digest) as chunks:
                assert sum(map(len, chunks)) == layer.size


def test_the_first_failure_ends_the_push(registry: str, image: Image) -> None:
    path = image.layout.path(image.layers[2].digest)
    path.write_bytes(bytes(300_000))
    with pytest.raises(RegistryError) as caught:
        image.push(registry)
    assert caught.value.code == "DIGEST_INVALID"


def test_a_registry_that_is_not_there_is_told_at_once(image: Image) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        image.push("127.0.0.1:9", retries=Retries(tries=10, first_wait=120, longest_wait=120))
    assert time.monotonic() - started < 120


def test_places_are_remembered_the_latest_first(tmp_path: Path) -> None:
    pushed = PushedBlobs(Cache(tmp_path))
    blob = Digest.of(b"blob")
    for place in ("a.example/team/x", "a.example/team/y", "b.example/team/z", "a.example/team/x"):
        pushed.note(Reference.parse(place), blob)
    assert pushed.source(Reference.parse("a.example/team/new"), blob) == "team/x"
    assert pushed.source(Reference.parse("a.example/team/x"), blob) == "team/y"
    assert pushed.source(Reference.parse("b.example/team/z"), blob) is None
    assert pushed.source(Reference.parse("c.example/team/z"), blob) is None
    assert PushedBlobs(Cache(tmp_path)).source(Reference.parse("a.example/n"), Digest.of(b"other")) is None
