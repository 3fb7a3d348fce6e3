"""What a build downloads: the wheels of layers that are not there, and of others nothing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.cache.usage import Kind, items
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]


@pytest.fixture
def elsewhere(workplace, iris, tmp_path):
    """Another machine with the same cache, but for all that was downloaded; the index cannot be reached."""
    shutil.copytree(workplace.root / "cache", tmp_path / "cache", copy_function=os.link, symlinks=True)
    for item in list(items(Cache(tmp_path / "cache"))):
        if item.kind is Kind.DOWNLOADS:
            item.path.unlink()
    shutil.copytree(iris, tmp_path / "iris", ignore=shutil.ignore_patterns(".mlbuild"))
    return workplace.with_settings(MLBUILD_CACHE=str(tmp_path / "cache"))


@pytest.fixture
def nowhere():
    """Settings with which no address can be reached."""
    return dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


def digest(project: Path) -> Digest:
    (root,) = Layout(project / ".mlbuild" / "image").index().manifests
    return root.digest


def test_nothing_is_downloaded_where_every_layer_is_there(elsewhere, nowhere, iris, tmp_path):
    done = elsewhere.with_settings(**nowhere).mlbuild("-C", str(tmp_path / "iris"), "build")
    assert done.returncode == 0, done.stderr
    assert "Downloading" not in done.stderr
    assert digest(tmp_path / "iris") == digest(iris)


def test_of_a_layer_that_is_gone_only_its_wheels_are_downloaded(elsewhere, iris, tmp_path):
    manifest, config = Layout(iris / ".mlbuild" / "image").image(digest(iris))
    made_by = [entry.created_by for entry in config.history if not entry.empty_layer]
    gone, holds = next(
        (layer, text)
        for layer, text in zip(manifest.layers, made_by, strict=True)
        if text and len(re.findall("==", text)) > 1
    )
    Cache(tmp_path / "cache").path(gone.digest).unlink()
    done = elsewhere.mlbuild("-C", str(tmp_path / "iris"), "build")
    assert done.returncode == 0, done.stderr
    assert f"Downloading {len(re.findall('==', holds))} files" in done.stderr
    assert digest(tmp_path / "iris") == digest(iris)
