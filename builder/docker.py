"""A Docker daemon: images loaded into it without a registry, and programs run by it."""

from __future__ import annotations

import json
import signal
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

from builder.progress import Advance, Progress
from compliance.errors import Unavailable
from compliance.oci.layer import CHUNK, open_layer
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_LAYER_ZSTD, Descriptor, Manifest

_BLOCK: Final = tarfile.BLOCKSIZE
_ZSTD_SINCE: Final = (1, 42)
"""The API version of Docker 23, the first that reads zstd."""


class Docker:
    """The daemon that DOCKER_HOST or docker's default names. Raises Unavailable when it does not answer."""

    def __init__(self) -> None:
        with _answering():
            self._client = docker.from_env()

    def close(self) -> None:
        self._client.close()

    def load(self, layout: Layout, manifest: Manifest, name: str, progress: Progress) -> str:
        """Load an image of a layout as `name` (repository and tag) and return the id it has there.

        Docker's archive format is written straight from the blobs as they are (Docker image specification
        v1.2, "Combined Image JSON + Filesystem Changeset Format").
        """
        with _answering(), progress.bytes(name, sum(layer.size for layer in manifest.layers)) as advance:
            reads_zstd = _version(self._client.version()["ApiVersion"]) >= _ZSTD_SINCE
            archive = _archive(layout, manifest, name, advance, keep_zstd=reads_zstd)
            self._client.images.load(archive)  # type: ignore[arg-type] # requests streams whatever it can iterate
            return str(self._client.images.get(name).id)

    def has(self, image: str) -> bool:
        """Whether an image with this id or name is there."""
        with _answering():
            try:
                self._client.images.get(image)
            except ImageNotFound:
                return False
            return True

    def pull(self, reference: str) -> None:
        """Fetch an image, with what docker knows of credentials."""
        with _answering():
            self._client.images.pull(reference)

    def run(
        self,
        image: str,
        command: Sequence[str],
        *,
        environment: Sequence[str] = (),
        ports: Sequence[str] = (),
        network: str | None = None,
    ) -> int:
        """Run an image with the caller's output streams and return its exit code; the container is removed.

        `ports`, such as `8080/tcp`, are published under the same number on this machine's loopback address.
        SIGTERM and SIGINT are passed on.
        """
        published: dict[str, int | list[int] | tuple[str, int] | None] = {
            port: ("127.0.0.1", int(port.partition("/")[0])) for port in ports
        }
        with _answering():
            container = self._client.containers.create(
                image,
                list(command) or None,
                environment=list(environment),
                ports={} if network else published,
                network=network,
                init=True,
            )
            try:
                output = container.attach(stdout=True, stderr=True, stream=True, demux=True)
                container.start()
                with _passing_signals(container):
                    for out, err in output:
                        _write(out, err)
                    return int(container.wait()["StatusCode"])
            finally:
                container.remove(force=True, v=True)


def _archive(
    layout: Layout, manifest: Manifest, name: str, advance: Advance, *, keep_zstd: bool
) -> Iterator[bytes]:
    """The image as Docker's archive: its config and layers, then manifest.json that names them."""
    config = _name(manifest.config)
    yield from _file(config, layout.read_bytes(manifest.config.digest))
    written = set()
    for layer in manifest.layers:
        if layer.digest in written:
            continue
        written.add(layer.digest)
        path = layout.path(layer.digest)
        if layer.media_type == OCI_LAYER_ZSTD and not keep_zstd:
            yield from _decompressed(_name(layer), path)
        else:
            yield from _blob(_name(layer), path, layer.size)
        advance(layer.size)
    listed = [{"Config": config, "RepoTags": [name], "Layers": [_name(layer) for layer in manifest.layers]}]
    yield from _file("manifest.json", json.dumps(listed).encode())
    yield bytes(2 * _BLOCK)


def _name(blob: Descriptor) -> str:
    return f"blobs/sha256/{blob.digest.hex}"


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)  # whose sizes may pass 8 GiB


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + bytes(-len(data) % _BLOCK)


def _blob(name: str, path: Path, size: int) -> Iterator[bytes]:
    yield _header(name, size)
    with path.open("rb") as stream:
        yield from iter(lambda: stream.read(CHUNK), b"")
    yield bytes(-size % _BLOCK)


def _decompressed(name: str, path: Path) -> Iterator[bytes]:
    with open_layer(path) as layer:
        layer.finish()
        size = layer.tell()
    yield _header(name, size)
    with open_layer(path) as layer:
        yield from iter(lambda: layer.read(CHUNK), b"")
    yield bytes(-size % _BLOCK)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _write(out: bytes | None, err: bytes | None) -> None:
    for data, stream in ((out, sys.stdout.buffer), (err, sys.stderr.buffer)):
        if data:
            stream.write(data)
            stream.flush()


@contextmanager
def _passing_signals(container: Container) -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        container.kill(signal=number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what the daemon answers badly, or not at all, into Unavailable."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        reason = getattr(error, "explanation", None) or error
        raise Unavailable(
            f"the docker daemon: {reason}",
            remedy="Start docker or set DOCKER_HOST; without docker, buildah does it: leave `--docker` out, "
            "or load with `--to buildah`.",
        ) from error
