"""Blobs in a layout are whole and true, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_TAR,
    OCI_MANIFEST,
    ImageConfig,
    Index,
    Manifest,
    RootFs,
)

DATA = b"some content"
DIGEST = Digest.of(DATA)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def files(layout: Layout) -> list[str]:
    return sorted(path.name for path in (layout.root / "blobs" / "sha256").iterdir())


def test_a_new_layout_is_empty_and_valid(layout: Layout) -> None:
    assert (layout.root / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert layout.index() == Index(manifests=())


def test_a_layout_made_again_keeps_what_is_there(layout: Layout) -> None:
    layout.write_index([layout.write_bytes(DATA, OCI_MANIFEST)])
    again = Layout.create(layout.root)
    assert again.read_bytes(DIGEST) == DATA
    assert len(again.index().manifests) == 1


def test_bytes_are_stored_under_their_digest_and_readable_by_all(layout: Layout) -> None:
    descriptor = layout.write_bytes(DATA, OCI_LAYER_TAR)
    assert (descriptor.digest, descriptor.size, descriptor.media_type) == (DIGEST, len(DATA), OCI_LAYER_TAR)
    assert layout.has(DIGEST)
    assert layout.path(DIGEST).stat().st_mode & 0o777 == 0o644
    assert layout.write_bytes(DATA, OCI_LAYER_TAR) == descriptor
    assert files(layout) == [DIGEST.hex]


def test_an_altered_blob_is_not_read_and_is_mended_by_writing(layout: Layout) -> None:
    layout.write_bytes(DATA, OCI_LAYER_TAR)
    layout.path(DIGEST).write_bytes(b"evil")
    with pytest.raises(InvalidInput, match=f"blob {DIGEST} has been altered"):
        layout.read_bytes(DIGEST)
    layout.write_bytes(DATA, OCI_LAYER_TAR)
    assert layout.read_bytes(DIGEST) == DATA


def test_a_missing_blob_is_named(layout: Layout) -> None:
    with pytest.raises(InvalidInput, match=f"blob {DIGEST} is missing"):
        layout.read_bytes(DIGEST)


def test_a_stream_must_have_its_digest(layout: Layout) -> None:
    assert layout.write_stream([DATA[:4], DATA[4:]], DIGEST) == len(DATA)
    with pytest.raises(InvalidInput, match="does not match its digest"):
        layout.write_stream([b"something else"], Digest.of(b"announced"))
    assert files(layout) == [DIGEST.hex]


def test_sha512_streams_are_kept_apart(layout: Layout) -> None:
    digest = Digest("sha512:" + hashlib.sha512(DATA).hexdigest())
    layout.write_stream([DATA], digest)
    assert layout.path(digest).parent.name == "sha512"
    assert layout.read_bytes(digest) == DATA


def test_a_stream_that_breaks_off_leaves_nothing(layout: Layout) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        layout.write_stream(broken(), DIGEST)
    assert files(layout) == []


def test_a_file_becomes_a_blob_without_a_copy_where_that_can_be(layout: Layout, tmp_path: Path) -> None:
    source = tmp_path / "layer"
    source.write_bytes(DATA)
    layout.add_file(source, DIGEST)
    layout.add_file(source, DIGEST)
    assert layout.path(DIGEST).samefile(source)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_file_of_another_file_system_is_copied_and_checked(layout: Layout) -> None:
    source = Path("/dev/shm") / f"mlbuild-test-{os.getpid()}"
    source.write_bytes(DATA)
    try:
        layout.add_file(source, DIGEST)
        assert layout.read_bytes(DIGEST) == DATA
        assert not layout.path(DIGEST).samefile(source)
        with pytest.raises(InvalidInput, match="does not match its digest"):
            layout.add_file(source, Digest.of(b"announced"))
    finally:
        source.unlink()


def test_an_image_is_its_manifest_and_config(layout: Layout) -> None:
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=()))
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=())
    digest = layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest
    assert layout.image(digest) == (manifest, config)
    index = layout.write_bytes(Index(manifests=()).to_json(), OCI_MANIFEST).digest
    with pytest.raises(InvalidInput, match="is an index, not one image"):
        layout.image(index)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("oci-layout", None),
        ("index.json", None),
        ("oci-layout", b"{}"),
        ("oci-layout", b"[]"),
        ("oci-layout", b"not json"),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'),
        ("index.json", b"{"),
        ("index.json", b'{"schemaVersion":2,"config":{},"layers":[]}'),
    ],
)
def test_what_is_no_layout_is_refused(layout: Layout, name: str, content: bytes | None) -> None:
    if content is None:
        (layout.root / name).unlink()
    else:
        (layout.root / name).write_bytes(content)
    with pytest.raises(InvalidInput):
        layout.index()


WRITER = """
import sys, itertools
from pathlib import Path
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_LAYER_TAR
layout = Layout(Path(sys.argv[1]))
for number in itertools.count():
    data = number.to_bytes(8, "big") * 200_000
    descriptor = layout.write_bytes(data, OCI_LAYER_TAR)
    layout.write_index([descriptor])
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_only_whole_blobs(layout: Layout) -> None:
    for pause in (0.0, 0.003, 0.007, 0.011):
        process = subprocess.Popen([sys.executable, "-c", WRITER, layout.root], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        blobs = [
            path for path in (layout.root / "blobs" / "sha256").iterdir() if not path.name.startswith(".new-")
        ]
        assert blobs
        for blob in blobs:
            assert Digest.of(blob.read_bytes()).hex == blob.name
        (descriptor,) = layout.index().manifests
        assert layout.has(descriptor.digest)


def test_blobs_that_nothing_leads_to_are_removed(layout: Layout) -> None:
    config, layer = layout.write_bytes(b"{}", OCI_CONFIG), layout.write_bytes(b"layer", OCI_LAYER_TAR)
    old = layout.write_bytes(b"an old layer", OCI_LAYER_TAR)
    image = layout.write_bytes(Manifest(config=config, layers=(layer,)).to_json(), OCI_MANIFEST)
    inner = layout.write_bytes(Index(manifests=(image,)).to_json(), OCI_INDEX)
    layout.write_index([inner])
    assert layout.remove_unreferenced() == old.size
    assert not layout.has(old.digest)
    assert all(layout.has(blob.digest) for blob in (config, layer, image, inner))
    assert layout.remove_unreferenced() == 0


def test_those_who_want_a_layout_alone_wait_for_each_other(layout: Layout) -> None:
    order: list[str] = []

    def second() -> None:
        with layout.alone():
            order.append("second")

    with layout.alone():
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
