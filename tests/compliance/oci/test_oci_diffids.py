"""The layers of an image hold what its config says."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard
from isal import igzip

from compliance.errors import InvalidInput
from compliance.oci.diffids import verify_diff_ids
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
    verify_diff_ids(*image(tmp_path, tuple(Digest.of(tar) for tar in TARS)))


def test_a_layer_that_is_something_else_is_named(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, (Digest.of(TARS[0]), Digest.of(b"other"), Digest.of(TARS[2])))
    manifest, _ = layout.image(digest)
    with pytest.raises(InvalidInput, match=f"layer {manifest.layers[1].digest} holds"):
        verify_diff_ids(layout, digest)


def test_layers_and_diff_ids_must_be_as_many(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, (Digest.of(TARS[0]),))
    with pytest.raises(InvalidInput, match="3 layers and 1 diffIDs"):
        verify_diff_ids(layout, digest)


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    manifest, _ = layout.image(digest)
    layout.path(manifest.layers[2].digest).unlink()
    with pytest.raises(InvalidInput, match=f"layer {manifest.layers[2].digest} cannot be read"):
        verify_diff_ids(layout, digest)


def test_the_limit_is_for_all_layers_together(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tuple(Digest.of(tar) for tar in TARS))
    verify_diff_ids(layout, digest, limit=sum(map(len, TARS)))
    with pytest.raises(InvalidInput, match="decompresses to more than"):
        verify_diff_ids(layout, digest, limit=sum(map(len, TARS)) - 1)
