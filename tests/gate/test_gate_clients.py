"""docker, podman, buildah, skopeo and containerd at the gate, and what each shows of a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate.clients import NAMES, Client, client_of, masked

pytestmark = pytest.mark.acceptance

TRANSCRIPTS = Path(__file__).parent / "data" / "clients"
DAEMONS = {"docker": "dockerd", "ctr": "containerd"}


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest, tmp_path: Path, gate) -> Iterator[Client]:
    daemon = request.getfixturevalue(DAEMONS[request.param]) if request.param in DAEMONS else None
    with client_of(request.param, tmp_path / tmp_path.name, gate.host, daemon) as made:
        yield made


def test_what_complies_is_pushed_and_pulled(client, gate, make_image):
    image = make_image()
    pushed = client.push(image, "1.4")
    assert pushed.status == 0, pushed.text
    pulled = client.pull("1.4")
    assert pulled.status == 0, pulled.text
    assert client.has(image)
    with gate.client("pod") as registry:
        found = registry.get_manifest(client.repository, "1.4").parse()
        assert found.config.digest == image.manifest.config.digest


def test_what_is_shown_of_a_refusal_is_what_the_transcript_says(client, make_image):
    image = make_image(user="0")
    shown = [client.push(image, "1.5"), client.pull("1.5")]
    transcript = "\n".join(masked(each, client) for each in shown)
    assert transcript == (TRANSCRIPTS / f"{client.name}.txt").read_text()
    assert not client.has(image)


def test_a_pull_of_what_was_never_pushed_says_so(client):
    pulled = client.pull("never")
    assert pulled.status != 0
    said = "not found" if client.name == "ctr" else "nothing admitted is called never"
    assert said in pulled.line


def test_images_of_several_platforms_are_pushed_as_one_and_pulled_by_platform(client, make_image):
    images = {name: make_image(architecture=name) for name in ("amd64", "arm64")}
    pushed = client.push_index(list(images.values()), "all")
    assert pushed.status == 0, pushed.text
    for name in ("arm64", "amd64"):
        pulled = client.pull("all", name)
        assert pulled.status == 0, pulled.text
        assert client.has(images[name])
