"""Where the image that a command starts comes from: this project's own, or one in a registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder import pipeline
from builder.buildah import Buildah, Container
from builder.cli.context import Session
from builder.pipeline import BuiltProject
from builder.platforms import host_architecture, on_host
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials, docker_config_path
from compliance.oci.manifest import ImageConfig, Manifest, parse_config
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient
from compliance.oci.transport import is_loopback


@dataclass(frozen=True, slots=True)
class Source:
    """An image as buildah names it, `within` the directory where that name holds, and its config.

    `reference` is what docker would pull; `built` is there for this project's own image instead.
    """

    name: str
    config: ImageConfig
    within: Path | None = None
    plain_http: bool = False
    reference: Reference | None = None
    built: BuiltProject | None = None

    @contextmanager
    def container(self) -> Iterator[Container]:
        """A working container of it, removed afterwards."""
        credentials = docker_config_path()
        with Buildah().container(
            self.name, within=self.within, plain_http=self.plain_http, credentials=credentials
        ) as container:
            yield container


def own_image(session: Session) -> Source:
    """This project's image for this machine's platform, built first where something has changed."""
    built = pipeline.build(pipeline.open_project(session.project), session.workshop)
    built = on_host(built, host_architecture())
    root = built.layout.root
    return Source(f"oci:{root.name}", built.image.config, within=root.parent, built=built)


def remote_image(image: str) -> Source:
    """An image in a registry, by the digest that its reference has now. Raises InvalidInput for an index."""
    reference = Reference.parse(image)
    if not reference.registry:
        raise InvalidInput(f"{image!r} names no registry", remedy="Write HOST:PORT/REPOSITORY:TAG.")
    credentials = Credentials.from_docker_config(reference.registry)
    with RegistryClient(reference.registry, credentials=credentials) as client:
        manifest = client.get_manifest(reference.repository, reference.target)
        document = manifest.parse()
        if not isinstance(document, Manifest):
            raise InvalidInput(f"{image} is an index", remedy="Name one of its images by digest.")
        with client.open_blob(reference.repository, document.config.digest) as chunks:
            config = parse_config(b"".join(chunks))
    pinned = reference.at(manifest.digest)
    return Source(f"docker://{pinned}", config, plain_http=is_loopback(reference.registry), reference=pinned)


def image_of(session: Session, image: str | None) -> Source:
    """The image named on the command line; this project's for none, or for a dot."""
    return own_image(session) if image in (None, "", ".") else remote_image(image)
