"""The layers of an image hold what its config says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from isal import igzip

from compliance.errors import InvalidInput
from compliance.oci.diffids import Unpacked, check_diff_ids, recall
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    ImageConfig,
    Manifest,
    RootFs,
)

TARS = (bytes(10240), bytes(20480), bytes(5120))


def image(root: Path, diff_ids: tuple[Digest, ...]) -> tuple[Layout, Digest]:
    layout = Layout.create(root)
    layers = (
        layout.write_bytes(igzip.compress(TARS[0]), OCI_LAYER_GZIP),
        layout.write_bytes(zstandard.compress(TARS[1]), OCI_LAYER_ZSTD),
        layout.write_bytes(TARS[2], OCI_LAYER_TAR),
    )
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=diff_ids))
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    return layout, layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest


def test_layers_that_are_what_the_config_says_pass(tmp_path: Path) -> None:
    check_diff_ids(*image(tmp_path, tuple(Digest.of(tar) for tar in TARS)))


def test_a_layer_that_is_something_else_is_named(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, (Digest.of(TARS[0]), Digest.of(b"other"), Digest.of(TARS[2])))
    manifest, _ = layout.image(digest)
    with pytest.raises(InvalidInput, match=f"layer {manifest.layers[1].digest} unpacks to"):
        check_diff_ids(layout, digest)


def test_layers_and_diff_ids_must_be_as_many(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, (Digest.of(TARS[0]),))
    with pytest.raises(InvalidInput, match="3 layers, its config names 1"):
        check_diff_ids(layout, digest)


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    manifest, _ = layout.image(digest)
    layout.path(manifest.layers[2].digest).unlink()
    with pytest.raises(InvalidInput, match=f"layer {manifest.layers[2].digest} cannot be read"):
        check_diff_ids(layout, digest)


def test_the_limit_is_for_all_layers_together(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    check_diff_ids(layout, digest, limit=sum(map(len, TARS)))
    with pytest.raises(InvalidInput, match="decompresses to more than"):
        check_diff_ids(layout, digest, limit=sum(map(len, TARS)) - 1)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_blob_that_was_altered_is_found_out(tmp_path: Path, place: int) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    manifest, _ = layout.image(digest)
    path = layout.path(manifest.layers[place].digest)
    compress = (igzip.compress, zstandard.compress, bytes)[place]
    path.write_bytes(compress(TARS[place][:-512] + bytes(511) + b"x"))
    with pytest.raises(InvalidInput):
        check_diff_ids(layout, digest)


@pytest.mark.parametrize("compress", [igzip.compress, zstandard.compress])
def test_a_blob_compressed_anew_is_found_out(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    manifest, _ = layout.image(digest)
    place = 0 if compress is igzip.compress else 1
    path = layout.path(manifest.layers[place].digest)
    path.write_bytes(compress(TARS[place][:1024]) + compress(TARS[place][1024:]))
    with pytest.raises(InvalidInput, match="has been altered"):
        check_diff_ids(layout, digest)


def test_what_was_unpacked_before_is_not_unpacked_again_and_still_counts(tmp_path: Path) -> None:
    layout, digest = image(tmp_path / "image", tuple(Digest.of(tar) for tar in TARS))
    memory = tmp_path / "memory"
    check_diff_ids(layout, digest, memory)
    manifest, _ = layout.image(digest)
    assert recall(memory, manifest.layers[0].digest) == Unpacked(Digest.of(TARS[0]), len(TARS[0]))
    for layer in manifest.layers:
        layout.path(layer.digest).write_bytes(b"no longer looked at")
    check_diff_ids(layout, digest, memory)
    with pytest.raises(InvalidInput, match="more bytes than are looked at"):
        check_diff_ids(layout, digest, memory, limit=sum(map(len, TARS)) - 1)
    layout.path(manifest.layers[0].digest).unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        check_diff_ids(layout, digest, memory)


def test_a_memory_that_was_garbled_is_no_memory(tmp_path: Path) -> None:
    layout, digest = image(tmp_path / "image", tuple(Digest.of(tar) for tar in TARS))
    manifest, _ = layout.image(digest)
    known = tmp_path / "memory" / "sha256" / manifest.layers[0].digest.hex
    known.parent.mkdir(parents=True)
    for garbage in ("", "sha256:short\n1", f"{Digest.of(b'')}", f"{Digest.of(b'')}\nmany"):
        known.write_text(garbage)
        check_diff_ids(layout, digest, tmp_path / "memory")
        assert recall(tmp_path / "memory", manifest.layers[0].digest) == Unpacked(Digest.of(TARS[0]), len(TARS[0]))
