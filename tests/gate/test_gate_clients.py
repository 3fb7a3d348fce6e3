"""What people push and pull with: skopeo, buildah, podman and docker, and what each shows of a refusal."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

PASSWORD = "correct horse"
REFUSED = "denied: REFUSED team/{client}: not-root: "


class Client:
    """One program on storage of its own, logged in at a gate."""

    def __init__(self, name: str, directory: Path, host: str) -> None:
        self.name = name
        self.host = host
        self.auth = directory / "auth.json"
        self.auth.write_text(
            json.dumps({"auths": {host: {"auth": base64.b64encode(f"ci:{PASSWORD}".encode()).decode()}}})
        )
        # podman takes no runroot of more than 50 characters.
        self._run = tempfile.TemporaryDirectory(prefix="run-")
        self._storage = (
            *("--root", str(directory / "storage"), "--runroot", self._run.name),
            *("--storage-driver", "vfs"),
        )

    def close(self) -> None:
        self._run.cleanup()

    def push(self, image, tag: str) -> subprocess.CompletedProcess[str]:
        self.run("pull", f"oci:{image.layout.root}:image").check_returncode()
        return self.run("push", *self.access, image.manifest.config.digest.hex, self.url(tag))

    def pull(self, tag: str) -> subprocess.CompletedProcess[str]:
        return self.run("pull", *self.access, self.url(tag))

    def url(self, tag: str) -> str:
        return f"docker://{self.host}/team/{self.name}:{tag}"

    @property
    def access(self) -> tuple[str, ...]:
        return ("--tls-verify=false", "--authfile", str(self.auth))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run(self.name, *self._storage, *arguments)


class Skopeo(Client):
    def push(self, image, tag: str) -> subprocess.CompletedProcess[str]:
        access = ("--dest-tls-verify=false", "--dest-authfile", str(self.auth))
        source = f"oci:{image.layout.root}:image"
        return _run("skopeo", "copy", "--insecure-policy", *access, source, self.url(tag))

    def pull(self, tag: str) -> subprocess.CompletedProcess[str]:
        target = self.auth.parent / f"pulled-{tag}"
        access = ("--src-tls-verify=false", "--src-authfile", str(self.auth))
        return _run("skopeo", "copy", "--insecure-policy", *access, self.url(tag), f"dir:{target}")


class Docker(Client):
    """The docker client of a daemon that the test started."""

    def __init__(self, directory: Path, host: str, socket: Path) -> None:
        super().__init__("docker", directory, host)
        self._directory = directory
        self.auth.rename(directory / "config.json")
        self._socket = socket

    def push(self, image, tag: str) -> subprocess.CompletedProcess[str]:
        name = f"{self.host}/team/docker:{tag}"
        archive = self._directory / f"{tag}.tar"
        source = f"oci:{image.layout.root}:image"
        _run("skopeo", "copy", "--insecure-policy", source, f"docker-archive:{archive}:{name}").check_returncode()
        self.run("load", "--input", str(archive)).check_returncode()
        return self.run("push", name)

    def pull(self, tag: str) -> subprocess.CompletedProcess[str]:
        name = f"{self.host}/team/docker:{tag}"
        self.run("image", "rm", "--force", name)
        return self.run("pull", name)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run("docker", "--config", str(self._directory), "--host", f"unix://{self._socket}", *arguments)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(params=["skopeo", "buildah", "podman", "docker"])
def client(request: pytest.FixtureRequest, tmp_path: Path, gate) -> Iterator[Client]:
    directory = tmp_path / "client"
    directory.mkdir()
    if request.param == "docker":
        made: Client = Docker(directory, gate.host, request.getfixturevalue("dockerd"))
    else:
        made = {"skopeo": Skopeo}.get(request.param, Client)(request.param, directory, gate.host)
    yield made
    made.close()


def test_what_complies_is_pushed_and_pulled(client, gate, make_image):
    image = make_image()
    pushed = client.push(image, "good")
    assert pushed.returncode == 0, pushed.stderr
    pulled = client.pull("good")
    assert pulled.returncode == 0, pulled.stderr
    with gate.client("pod") as registry:
        found = registry.get_manifest(f"team/{client.name}", "good").parse()
        assert found.config.digest == image.manifest.config.digest


def test_the_reason_for_a_refusal_is_shown(client, gate, make_image):
    pushed = client.push(make_image(user="0"), "bad")
    assert pushed.returncode != 0
    shown = " ".join((pushed.stdout + pushed.stderr).split())
    assert REFUSED.format(client=client.name) in shown
    assert f"Report: http://{gate.host}/api/decisions/" in shown


def test_a_pull_of_what_was_refused_says_why(client, make_image):
    client.push(make_image(user="0"), "bad")
    pulled = client.pull("bad")
    assert pulled.returncode != 0
    assert REFUSED.format(client=client.name) in " ".join((pulled.stdout + pulled.stderr).split())


def test_a_pull_of_what_was_never_pushed_says_so(client):
    pulled = client.pull("never")
    assert pulled.returncode != 0
    assert "nothing admitted is called never" in pulled.stdout + pulled.stderr
