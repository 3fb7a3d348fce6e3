"""What people push and pull with, each on storage of its own and logged in at one registry."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compliance.oci.layout import REFERENCE_NAME, Layout
from compliance.oci.manifest import Descriptor, Index
from tests.gate.conftest import PASSWORD, Image

USER: Final = "ci"
NAMES: Final = ("docker", "podman", "buildah", "skopeo", "ctr")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person sees: the command without the options of the test, what it printed, its exit code."""

    command: str
    status: int
    text: str

    @property
    def line(self) -> str:
        """The text as one line, with every break and run of blanks a single blank."""
        return " ".join(self.text.split())


class Client:
    """buildah and podman, which have their commands in common."""

    def __init__(self, name: str, directory: Path, host: str) -> None:
        self.name = name
        self.host = host
        self.repository = f"serving/{name}"
        self.directory = directory
        self.auth = directory / "auth.json"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self.auth.write_text(json.dumps({"auths": {host: {"auth": login}}}))
        # podman takes no runroot of more than 50 characters.
        self._run = tempfile.TemporaryDirectory(prefix="run-")
        root = ("--root", str(directory / "storage"), "--runroot", self._run.name)
        self._hidden = (name, *root, "--storage-driver", "vfs")

    def close(self) -> None:
        self._run.cleanup()

    def url(self, tag: str) -> str:
        return f"{self.host}/{self.repository}:{tag}"

    def push(self, image: Image, tag: str) -> Shown:
        self._do("pull", f"oci:{image.layout.root}:image")
        self._do("tag", image.manifest.config.digest.hex, self.url(tag))
        return self._show(("push",), self.url(tag))

    def push_index(self, images: Sequence[Image], tag: str) -> Shown:
        """Push images of several platforms under one tag."""
        self._do("manifest", "create", "all")
        for image in images:
            self._do("manifest", "add", "all", f"oci:{image.layout.root}:image")
        return self._show(("manifest", "push"), "--all", "all", f"docker://{self.url(tag)}")

    def pull(self, tag: str, architecture: str | None = None) -> Shown:
        """Pull into a storage that has nothing of the repository."""
        self._do("rmi", "--all", "--force")
        platform = () if architecture is None else ("--arch", architecture)
        return self._show(("pull",), *platform, self.url(tag))

    def has(self, image: Image) -> bool:
        """Whether the image is in the client's storage."""
        found = self._do("images", "--all", "--quiet", "--no-trunc")
        return image.manifest.config.digest in found.split()

    @property
    def _access(self) -> tuple[str, ...]:
        return ("--tls-verify=false", "--authfile", str(self.auth))

    def _do(self, *arguments: str) -> str:
        done = _run(*self._hidden, *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def _show(self, verb: Sequence[str], *rest: str) -> Shown:
        """Run a command. What is shown of it lacks the options that only a test needs."""
        done = _run(*self._hidden, *verb, *self._access, *rest)
        return Shown(" ".join((self.name, *verb, *rest)), done.returncode, self._text(done))

    def _text(self, done: subprocess.CompletedProcess[str]) -> str:
        return done.stdout + done.stderr


class Skopeo(Client):
    """skopeo, which has no storage and copies between places."""

    _chosen: tuple[str, ...] = ()

    def push(self, image: Image, tag: str) -> Shown:
        return self._copy("dest", f"oci:{image.layout.root}:image", f"docker://{self.url(tag)}")

    def push_index(self, images: Sequence[Image], tag: str) -> Shown:
        layout = index_layout(self.directory / f"index-{tag}", images)
        return self._copy("dest", "--all", f"oci:{layout.root}:image", f"docker://{self.url(tag)}")

    def pull(self, tag: str, architecture: str | None = None) -> Shown:
        self._chosen = () if architecture is None else ("--override-arch", architecture)
        return self._copy("src", f"docker://{self.url(tag)}", f"dir:{self.directory}/pulled-{tag}")

    def has(self, image: Image) -> bool:
        return any(
            json.loads(found.read_bytes())["config"]["digest"] == image.manifest.config.digest
            for found in self.directory.glob("pulled-*/manifest.json")
        )

    def _copy(self, side: str, *rest: str) -> Shown:
        access = (f"--{side}-tls-verify=false", f"--{side}-authfile", str(self.auth))
        done = _run("skopeo", "--insecure-policy", *self._chosen, "copy", *access, *rest)
        return Shown(" ".join(("skopeo", "copy", *rest)), done.returncode, self._text(done))


class Docker(Client):
    """The docker client of a daemon that the test started."""

    def __init__(self, directory: Path, host: str, socket: Path) -> None:
        super().__init__("docker", directory, host)
        self.auth.rename(directory / "config.json")
        self._hidden = ("docker", "--config", str(directory), "--host", f"unix://{socket}")

    @property
    def _access(self) -> tuple[str, ...]:
        return ()

    def push(self, image: Image, tag: str) -> Shown:
        archive = self.directory / f"{tag}.tar"
        target = f"docker-archive:{archive}:{self.url(tag)}"
        _run("skopeo", "--insecure-policy", "copy", f"oci:{image.layout.root}:image", target).check_returncode()
        self._do("load", "--input", str(archive))
        return self._show(("push",), self.url(tag))

    def push_index(self, images: Sequence[Image], tag: str) -> Shown:
        parts = []
        for image in images:
            parts.append(self.url(f"{tag}-{architecture_of(image)}"))
            pushed = self.push(image, f"{tag}-{architecture_of(image)}")
            assert pushed.status == 0, pushed.text
        self._do("manifest", "create", "--insecure", self.url(tag), *parts)
        return self._show(("manifest", "push"), "--insecure", self.url(tag))

    def pull(self, tag: str, architecture: str | None = None) -> Shown:
        found = self._do("images", "--quiet", f"{self.host}/{self.repository}").split()
        if found:
            self._do("image", "rm", "--force", *set(found))
        platform = () if architecture is None else ("--platform", f"linux/{architecture}")
        return self._show(("pull",), *platform, self.url(tag))


class Ctr(Client):
    """containerd's own client. What is pulled goes where nothing that was pushed is found again."""

    def __init__(self, directory: Path, host: str, address: Path) -> None:
        super().__init__("ctr", directory, host)
        self._hidden = ("ctr", "--address", str(address), "--namespace", directory.name)
        self._pulls = 0

    @property
    def _access(self) -> tuple[str, ...]:
        return ("--plain-http", "--user", f"{USER}:{PASSWORD}")

    def push(self, image: Image, tag: str) -> Shown:
        self._import(image.layout, tag)
        return self._show(("images", "push"), self.url(tag))

    def push_index(self, images: Sequence[Image], tag: str) -> Shown:
        self._import(index_layout(self.directory / f"index-{tag}", images), tag)
        return self._show(("images", "push"), self.url(tag))

    def pull(self, tag: str, architecture: str | None = None) -> Shown:
        platform = () if architecture is None else ("--platform", f"linux/{architecture}")
        self._pulls += 1
        self._hidden = (*self._hidden[:-1], f"{self.directory.name}-{self._pulls}")
        return self._show(("images", "pull"), *platform, self.url(tag))

    def has(self, image: Image) -> bool:
        """Whether image and all its blobs are in the namespace."""
        found = self._do("content", "ls", "--quiet").split()
        blobs = (image.digest, image.manifest.config.digest, *(layer.digest for layer in image.manifest.layers))
        return self._do("images", "ls", "--quiet") != "" and set(blobs) <= set(found)

    def _import(self, layout: Layout, tag: str) -> None:
        archive = self.directory / f"{tag}.tar"
        _run("tar", "--directory", str(layout.root), "--create", "--file", str(archive), ".").check_returncode()
        base = ("--base-name", f"{self.host}/{self.repository}")
        self._do("images", "import", "--no-unpack", "--all-platforms", *base, str(archive))
        self._do("images", "tag", "--force", self.url("image"), self.url(tag))

    def _text(self, done: subprocess.CompletedProcess[str]) -> str:
        # Its standard output is a bar that is drawn over and over.
        return done.stderr


def index_layout(directory: Path, images: Sequence[Image]) -> Layout:
    """A layout of an index of images, each with its platform."""
    layout = Layout.create(directory)
    entries = []
    for image in images:
        for part in (image.manifest.config, *image.manifest.layers, image.descriptor):
            layout.add_file(image.layout.path(part.digest), part.digest)
        entries.append(image.layout.index().manifests[0].model_copy(update={"annotations": None}))
    stored: Descriptor = layout.write_bytes((index := Index(manifests=tuple(entries))).to_json(), index.media_type)
    layout.write_index((stored.model_copy(update={"annotations": {REFERENCE_NAME: "image"}}),))
    return layout


def architecture_of(image: Image) -> str:
    platform = image.layout.index().manifests[0].platform
    assert platform is not None
    return platform.architecture


@contextmanager
def client_of(name: str, directory: Path, host: str, daemon: Path | None) -> Iterator[Client]:
    """The client `name` with its files in a new directory; `daemon` is the socket of the one that it needs."""
    directory.mkdir()
    if name == "docker":
        assert daemon is not None
        made: Client = Docker(directory, host, daemon)
    elif name == "ctr":
        assert daemon is not None
        made = Ctr(directory, host, daemon)
    else:
        made = (Skopeo if name == "skopeo" else Client)(name, directory, host)
    try:
        yield made
    finally:
        made.close()


def masked(shown: Shown, client: Client) -> str:
    """What was shown as a transcript, with what differs each time replaced."""
    text = f"$ {shown.command}\n{shown.text.strip()}\n[exit code {shown.status}]\n"
    text = text.replace(f"http://{client.host}", "https://gate.example.com").replace(
        client.host, "gate.example.com"
    )
    text = text.replace(client.repository, "serving/iris").replace(str(client.directory), ".")
    for pattern, replacement in _VOLATILE:
        text = re.sub(pattern, replacement, text)
    return text


_VOLATILE: Final = (
    (r"oci:\S+/image-\d+:image", "oci:image"),
    (r"sha256:[0-9a-f]{64}", "sha256:…"),
    (r"\b[0-9a-f]{64}\b", "…"),
    (r"\b[0-9a-f]{12}\b", "…"),
    (r"/api/decisions/[0-9a-f]{16}", "/api/decisions/…"),
    (r'time="[^"]*"', 'time="…"'),
    (r"(?m)^…: (?!Pushed).*\n", ""),  # docker's progress, of which it shows as much as there is time for
)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
