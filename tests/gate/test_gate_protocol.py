"""Push and pull through a real gate and a real registry, with the project's own client."""

from __future__ import annotations

import httpx
import pytest

from compliance.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_TAR, OCI_LAYER_ZSTD
from compliance.oci.registry import RegistryError

pytestmark = pytest.mark.acceptance


def test_an_image_that_complies_is_admitted_and_pulled_back_byte_for_byte(gate, make_image):
    image = make_image()
    with gate.client() as client, gate.client("pod") as puller:
        assert image.push(client, "team/good", "v1") == image.digest
        found = puller.get_manifest("team/good", "v1")
        assert (found.raw, found.digest) == (image.raw, image.digest)
        assert puller.get_manifest("team/good", image.digest).raw == image.raw
        assert puller.tags("team/good") == ("v1",)
        layer = image.manifest.layers[0]
        with puller.open_blob("team/good", layer.digest) as chunks:
            assert b"".join(chunks) == image.layout.read_bytes(layer.digest)


@pytest.mark.parametrize("compression", [OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_LAYER_TAR])
def test_layers_of_every_compression_are_read(gate, make_image, compression):
    image = make_image({"app/a": b"a"}, {"app/b": b"b"}, compression=compression)
    with gate.client() as client:
        assert image.push(client, "team/compressed", "v1") == image.digest


def test_a_refused_push_says_rule_culprit_remedy_and_where_the_report_is(gate, make_image):
    image = make_image(user="root")
    with gate.client() as client, pytest.raises(RegistryError) as caught:
        image.push(client, "team/root", "v1")
    error = caught.value
    assert (error.status, error.code) == (403, "DENIED")
    assert "\n" not in error.reason
    assert error.reason.startswith("REFUSED team/root: not-root: ")
    assert "-> " in error.reason
    url = error.reason.rpartition(" Report: ")[2]
    assert url.startswith(f"http://{gate.host}/api/decisions/")
    report = httpx.get(url, auth=("pod", "correct horse"), timeout=60)
    assert report.headers["Content-Type"] == "application/json"
    assert report.json()["verdict"] == "refused"
    text = httpx.get(url, auth=("pod", "correct horse"), headers={"Accept": "text/plain,*/*"}, timeout=60)
    assert text.headers["Content-Type"].startswith("text/plain")
    assert "not-root" in text.text
    markdown = httpx.get(url, auth=("pod", "correct horse"), headers={"Accept": "text/markdown"}, timeout=60)
    assert markdown.text.startswith("## ")
    assert httpx.get(url, timeout=60).status_code == 401
    page = httpx.get(url, headers={"Accept": "text/html,*/*"}, timeout=60)
    assert (page.status_code, page.headers["Location"]) == (303, url.removeprefix(f"http://{gate.host}/api"))
