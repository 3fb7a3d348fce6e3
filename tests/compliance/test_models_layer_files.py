"""What was read of layers is remembered by their blobs, and only what was true is."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from isal import igzip

from compliance.errors import InvalidInput
from compliance.inventory import Origin
from compliance.models import LayerMemory, read_files
from compliance.oci.diffids import WrongLayer
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, ImageConfig, Manifest, RootFs

PICKLE = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."


def tar(*members: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data, mode in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


LOWER = tar(("opt/model.pkl", PICKLE, 0o644), ("usr/bin/su", b"su", 0o4755), ("a/ü\N{SNOWMAN}", b"x", 0o644))
UPPER = tar(("opt/.wh.model.pkl", b"", 0o644), ("opt/other.pkl", PICKLE, 0o644))


def image(root: Path, *tars: bytes, diff_ids: tuple[Digest, ...] | None = None) -> tuple[Layout, Digest]:
    layout = Layout.create(root)
    layers = tuple(layout.write_bytes(igzip.compress(one), OCI_LAYER_GZIP) for one in tars)
    config = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFs(diff_ids=diff_ids or tuple(map(Digest.of, tars)))
    )
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    return layout, layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest


def of_app(layer: Digest | None, path: str) -> Origin:
    return Origin.APP


@pytest.mark.parametrize("tars", [(LOWER,), (LOWER, UPPER), (UPPER, LOWER)])
def test_what_is_remembered_is_what_was_read(tmp_path: Path, tars: tuple[bytes, ...]) -> None:
    layout, digest = image(tmp_path / "image", *tars)
    memory = LayerMemory(tmp_path / "memory")
    first = read_files(layout, digest, of_app, memory=memory)
    manifest, _ = layout.image(digest)
    for layer in manifest.layers:
        layout.path(layer.digest).write_bytes(b"no longer looked at")
    assert read_files(layout, digest, of_app, memory=memory) == first
    assert first.models
    assert ("/opt/model.pkl" in {model.path for model in first.models}) == (tars != (LOWER, UPPER))


def test_a_known_layer_under_another_diff_id_is_found_out(tmp_path: Path) -> None:
    memory = LayerMemory(tmp_path / "memory")
    layout, digest = image(tmp_path / "image", LOWER)
    read_files(layout, digest, of_app, memory=memory)
    layout, lying = image(tmp_path / "image", LOWER, diff_ids=(Digest.of(UPPER),))
    with pytest.raises(WrongLayer, match="but the image's config says"):
        read_files(layout, lying, of_app, memory=memory)


def test_nothing_is_remembered_of_a_layer_that_lies(tmp_path: Path) -> None:
    memory = LayerMemory(tmp_path / "memory")
    layout, lying = image(tmp_path / "image", LOWER, diff_ids=(Digest.of(UPPER),))
    manifest, _ = layout.image(lying)
    with pytest.raises(WrongLayer):
        read_files(layout, lying, of_app, memory=memory)
    layout.path(manifest.layers[0].digest).write_bytes(igzip.compress(UPPER))
    with pytest.raises(InvalidInput):
        read_files(layout, lying, of_app, memory=memory)
    assert memory.recall(manifest.layers[0].digest) is None


def test_the_limit_is_for_all_layers_also_those_remembered(tmp_path: Path) -> None:
    layout, digest = image(tmp_path / "image", LOWER, UPPER)
    memory = LayerMemory(tmp_path / "memory")
    together = len(LOWER) + len(UPPER)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="decompresses to more than"):
            read_files(layout, digest, of_app, memory=memory, limit=together - 1)
    read_files(layout, digest, of_app, memory=memory, limit=together)


@pytest.mark.parametrize("garbage", [b"", b"{}", zstandard.compress(b"[]"), zstandard.compress(b'{"models":3}')])
def test_a_record_that_was_garbled_is_read_anew(tmp_path: Path, garbage: bytes) -> None:
    layout, digest = image(tmp_path / "image", LOWER)
    memory = LayerMemory(tmp_path / "memory")
    first = read_files(layout, digest, of_app, memory=memory)
    (record,) = (tmp_path / "memory" / "files").glob("*/sha256/*")
    record.write_bytes(garbage)
    assert read_files(layout, digest, of_app, memory=memory) == first


def test_what_was_not_asked_for_longest_is_forgotten_first(tmp_path: Path) -> None:
    memory = LayerMemory(tmp_path / "memory", limit=1500)
    blobs = []
    for number in range(8):
        names = [(os.urandom(40).hex(), b"", 0o644) for _ in range(10)]
        layout, digest = image(tmp_path / "image", tar(*names, (f"{number}", b"", 0o644)))
        read_files(layout, digest, of_app, memory=memory)
        blobs.append(layout.image(digest)[0].layers[0].digest)
    kept = [memory.recall(blob) is not None for blob in blobs]
    assert kept == sorted(kept)
    assert kept[-1]
    assert not kept[0]
