"""`mlbuild run`, `shell` and `load`: start an image, or put it where others start it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import click

from builder.buildah import Buildah
from builder.cli.context import Session, failing_well
from builder.cli.source import Source, image_of, own_image
from builder.docker import Docker
from builder.pipeline import BuiltProject
from builder.shell import INSIDE, open_shell, tools_for
from compliance.errors import InvalidInput
from compliance.oci.reference import is_tag


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("image", required=False)
@click.argument("command", nargs=-1)
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Set an environment variable.")
@click.option("--docker", "by_docker", is_flag=True, help="By the docker daemon instead of buildah.")
@click.option("--network", help="With --docker: the network to join, such as host or none.")
@click.pass_obj
@failing_well
def run(
    session: Session,
    image: str | None,
    command: tuple[str, ...],
    env: tuple[str, ...],
    by_docker: bool,
    network: str | None,
) -> None:
    """Run IMAGE, or this project's image, as its own user.

    What follows IMAGE is run in it instead of what it names; a dot stands for this project's image. With
    buildah it is on this machine's network. With docker it has a network of its own, and the ports that the
    image names are published under the same number on 127.0.0.1.

    \b
    Examples:
      mlbuild run                                     the image built in this directory
      mlbuild run gate.example.com/serving/iris:1.4   one pulled through the gate
      mlbuild run -e PORT=9000 gate.example.com/serving/iris:1.4
      mlbuild run . python -c "import sklearn"        another command, in this project's image
      mlbuild run gate.example.com/serving/iris:1.4 python -c "import sklearn"
      mlbuild run --docker                            under the docker daemon
    """
    if network is not None and not by_docker:
        raise InvalidInput("--network goes with --docker", remedy="buildah runs on this machine's network.")
    source = image_of(session, image)
    config = source.config.config
    wanted = command or (*(config.entrypoint or ()), *(config.cmd or ()))
    if not wanted:
        raise InvalidInput("the image names no command", remedy="Say one: `mlbuild run IMAGE COMMAND`.")
    if by_docker:
        raise click.exceptions.Exit(_run_by_docker(session, source, wanted, env, network))
    with source.container() as container:
        raise click.exceptions.Exit(container.run(wanted, environment=env))


def _run_by_docker(
    session: Session, source: Source, command: Sequence[str], environment: Sequence[str], network: str | None
) -> int:
    with closing(Docker()) as docker:
        if source.built is not None:
            name = str(source.built.image.config_digest)  # which is the image's id in docker's own store
            if not docker.has(name):
                name = _load(session, docker, source.built, "latest")
        else:
            name = str(source.reference)
            docker.pull(name)
        ports = tuple(source.config.config.exposed_ports or ())
        return docker.run(name, command, environment=environment, ports=ports, network=network)


def _load(session: Session, docker: Docker, built: BuiltProject, tag: str) -> str:
    return docker.load(built.layout, built.image.manifest, f"{built.repository}:{tag}", session.progress)


@click.command()
@click.option(
    "--to",
    "target",
    type=click.Choice(["docker", "buildah"]),
    default="docker",
    show_default=True,
    help="Whose storage to put it in; podman reads that of buildah.",
)
@click.option("--tag", "-t", default="latest", show_default=True, help="Tag to give the image.")
@click.pass_obj
@failing_well
def load(session: Session, target: str, tag: str) -> None:
    """Put this project's image where docker or buildah (and podman) keep theirs, and print its id there.

    \b
    Examples:
      mlbuild load && docker run --rm -p 8080:8080 serving/iris
      mlbuild load --tag 1.4.0
      mlbuild load --to buildah
    """
    source = own_image(session)
    built = source.built
    assert built is not None  # noqa: S101 - own_image builds it
    name = f"{built.repository}:{tag}"
    if not is_tag(tag):
        raise InvalidInput(f"{tag!r} is not a tag", remedy="Letters, digits, dots, dashes and underscores.")
    if target == "docker":
        with closing(Docker()) as docker:
            identity = _load(session, docker, built, tag)
    else:
        identity = Buildah().load(source.name, name, within=source.within)
    if session.as_json:
        session.emit({"name": name, "id": identity, "to": target})
    else:
        session.out.print(f"{name} {identity}", soft_wrap=True)


@click.command()
@click.argument("image", required=False)
@click.argument("command", nargs=-1)
@click.option("-c", "script", metavar="TEXT", help="Run TEXT in the shell instead of a session.")
@click.option("--user", "-u", help="Another user than the image's, such as root.")
@click.pass_obj
@failing_well
def shell(
    session: Session, image: str | None, command: tuple[str, ...], script: str | None, user: str | None
) -> None:
    """Open a debug shell in IMAGE, or in this project's image, although it has none.

    A static busybox is mounted at /.mlbuild-shell for it; the image stays as it is, and what is changed in
    the shell is gone with it. Ends with the shell's exit code.

    \b
    Examples:
      mlbuild shell
      mlbuild shell -c 'ls -l /app; env'
      mlbuild shell --user root gate.example.com/serving/iris:1.4
    """
    source = image_of(session, image)
    workshop = session.workshop
    tools = tools_for(source.config.architecture, workshop.bases, workshop.cache, session.progress)
    if script is not None:
        command = (f"{INSIDE}/busybox", "sh", "-c", script, *command)
    with source.container() as container:
        code = open_shell(container, source.config, tools, command=command, user=user)
    raise click.exceptions.Exit(code)
