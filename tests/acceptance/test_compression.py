"""An image in zstd is the image in gzip, in other blobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from tests.workplace import Workplace, facts

pytestmark = pytest.mark.acceptance


def test_compression_changes_the_blobs_and_nothing_else(workplace: Workplace, iris: Path) -> None:
    project = workplace.project("iris-serving", "iris-in-zstd")
    spec = project / "mlbuild.yaml"
    spec.write_text(spec.read_text() + "compression: zstd\n")
    done = workplace.mlbuild("-C", str(project), "--json", "build")
    assert done.returncode == 0, done.stderr
    plain = facts(workplace.mlbuild("-C", str(iris), "--json", "build"))
    assert facts(done)["config"] == plain["config"]
    assert facts(done)["image"] != plain["image"]
    layout = Layout(project / ".mlbuild" / "image")
    manifest, _ = layout.image(layout.index().manifests[0].digest)
    assert [layer.media_type for layer in manifest.layers] == [
        OCI_LAYER_GZIP,  # the base's
        *[OCI_LAYER_ZSTD] * (len(manifest.layers) - 1),
    ]
    planned = json.loads(workplace.mlbuild("-C", str(project), "plan", "--json").stdout)["images"][0]["layers"]
    assert [layer["digest"] for layer in planned] == [layer.digest for layer in manifest.layers]
    checked = workplace.mlbuild("-C", str(project), "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = workplace.mlbuild("-C", str(project), "run", "--", "", "python", "-c", "import sklearn")
    assert ran.returncode == 0, ran.stdout + ran.stderr
