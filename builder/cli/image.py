"""The commands about images in a registry: run one, and log in to where they are."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from builder import pipeline
from builder.buildah import Buildah
from builder.cli.context import Session, failing_well
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials, docker_config_path, remember
from compliance.oci.manifest import ImageConfig, Manifest, parse_config
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient
from compliance.oci.transport import is_loopback


@click.command()
@click.argument("image", required=False)
@click.argument("command", nargs=-1)
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Set an environment variable.")
@click.pass_obj
@failing_well
def run(session: Session, image: str | None, command: tuple[str, ...], env: tuple[str, ...]) -> None:
    """Run IMAGE, or this project's image, with buildah: as its own user, on this machine's network.

    \b
    Examples:
      mlbuild run                                     the image built in this directory
      mlbuild run gate.example.com/serving/iris:1.4   one pulled through the gate
      mlbuild run -e PORT=9000 gate.example.com/serving/iris:1.4
      mlbuild run IMAGE python -c "import sklearn"    another command in it
    """
    source, within, config, plain_http = _remote(image) if image else _local(session)
    wanted = command or (*(config.config.entrypoint or ()), *(config.config.cmd or ()))
    if not wanted:
        raise InvalidInput("the image names no command", remedy="Say one: `mlbuild run IMAGE COMMAND`.")
    buildah = Buildah()
    credentials = docker_config_path()
    with buildah.container(source, within=within, plain_http=plain_http, credentials=credentials) as container:
        raise click.exceptions.Exit(container.run(wanted, environment=env))


def _remote(image: str) -> tuple[str, Path | None, ImageConfig, bool]:
    reference = Reference.parse(image)
    if not reference.registry:
        raise InvalidInput(f"{image!r} names no registry", remedy="Write HOST:PORT/REPOSITORY:TAG.")
    with RegistryClient(
        reference.registry, credentials=Credentials.from_docker_config(reference.registry)
    ) as client:
        manifest = client.get_manifest(reference.repository, reference.target)
        document = manifest.parse()
        if not isinstance(document, Manifest):
            raise InvalidInput(f"{image} is an index", remedy="Name one of its images by digest.")
        with client.open_blob(reference.repository, document.config.digest) as chunks:
            config = parse_config(b"".join(chunks))
    return f"docker://{reference.at(manifest.digest)}", None, config, is_loopback(reference.registry)


def _local(session: Session) -> tuple[str, Path | None, ImageConfig, bool]:
    built = pipeline.build(pipeline.open_project(session.project), session.workshop)
    return f"oci:{built.layout.root.name}", built.layout.root.parent, built.image.config, False


@click.command()
@click.argument("host")
@click.option("--username", "-u", prompt=True, help="Who you are there.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
@failing_well
def login(session: Session, host: str, username: str, password_stdin: bool) -> None:
    """Log in to a gate or registry, and remember it where docker does.

    \b
    Examples:
      mlbuild login gate.example.com
      echo "$TOKEN" | mlbuild login gate.example.com --username ci --password-stdin
    """
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else click.prompt("Password", hide_input=True)
    credentials = Credentials(username, password)
    with RegistryClient(host, credentials=credentials) as client:
        client.ping()
    path: Path = remember(host, credentials)
    session.out.print(f"logged in to {host} as {username} (kept in {path})", soft_wrap=True)


COMMANDS = (run, login)
