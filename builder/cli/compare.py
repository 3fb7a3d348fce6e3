"""The commands that hold images against each other: diff and reproduce."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from builder import pipeline
from builder.cli.context import REFUSED, Session, failing_well
from builder.compare import Comparison, Snapshot, compare, of_image, of_lock, of_published
from builder.lock import read_lock
from builder.published import fetch_published
from builder.reproduce import reproduce as build_again
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient
from compliance.sbom import from_cyclonedx


@click.command()
@click.argument("old")
@click.argument("new")
@click.pass_obj
@failing_well
def diff(session: Session, old: str, new: str) -> None:
    """Show what lies between OLD and NEW: packages, layers, bytes.

    Each is a pylock.toml, a project's directory (its built image), or an image in a registry.

    \b
    Examples:
      mlbuild diff gate.example.com/serving/iris:1.3 gate.example.com/serving/iris:1.4
      mlbuild diff gate.example.com/serving/iris:1.4 .
      git show main:pylock.toml > /tmp/pylock.toml && mlbuild diff /tmp/pylock.toml pylock.toml
    """
    before, after = _snapshot(session, old), _snapshot(session, new)
    found = compare(before, after)
    if session.as_json:
        session.emit(_facts(before, after, found))
    else:
        _show(session, found)


@click.command()
@click.argument("image")
@click.option(
    "--files",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the project's own files from here instead of from the image.",
)
@click.pass_obj
@failing_well
def reproduce(session: Session, image: str, files: Path | None) -> None:
    """Build IMAGE again from its signed provenance, and compare digests.

    Exit code 0 when the same image comes out, 1 when another does; the layers then say where they part.

    \b
    Examples:
      mlbuild reproduce gate.example.com/serving/iris@sha256:…
      mlbuild reproduce gate.example.com/serving/iris:1.4 --files .
    """
    reference = _reference(image)
    with _client(reference) as client:
        published = fetch_published(client, reference, session.workshop.trusted_keys)
        result = build_again(client, published, session.workshop, files)
    if session.as_json:
        session.emit(
            {
                "same": result.same,
                "published": result.published,
                "built": result.built,
                "layers": [
                    {"made_by": pair.made_by, "published": pair.published, "built": pair.built, "same": pair.same}
                    for pair in result.layers
                ],
            }
        )
    elif result.same:
        session.out.print(f"REPRODUCED {published.reference}", style="bold green", soft_wrap=True)
    else:
        session.out.print(f"DIFFERS {published.reference}", style="bold red", soft_wrap=True)
        session.out.print(f"  built here: {result.built}", soft_wrap=True)
        for pair in result.layers:
            if not pair.same:
                session.out.print(f"  {escape(pair.made_by)}: {pair.published} -> {pair.built}", soft_wrap=True)
        if all(pair.same for pair in result.layers):
            session.out.print("  every layer holds the same; settings or compression differ")
    if not result.same:
        raise click.exceptions.Exit(REFUSED)


def _snapshot(session: Session, text: str) -> Snapshot:
    path = Path(text)
    if path.is_dir():
        built = pipeline.build(pipeline.open_project(path), session.workshop)
        return of_image(text, from_cyclonedx(built.evidence.sbom), built.image.manifest)
    if path.is_file():
        lock = read_lock(path)
        return of_lock(lock, session.workshop.base(lock.pins.base_name).packages)
    reference = _reference(text)
    with _client(reference) as client:
        return of_published(fetch_published(client, reference, session.workshop.trusted_keys))


def _reference(text: str) -> Reference:
    reference = Reference.parse(text)
    if not reference.registry:
        raise InvalidInput(
            f"{text!r} is no file or directory, and names no registry", remedy="Write HOST:PORT/REPOSITORY:TAG."
        )
    return reference


def _client(reference: Reference) -> RegistryClient:
    return RegistryClient(reference.registry, credentials=Credentials.from_docker_config(reference.registry))


def _show(session: Session, found: Comparison) -> None:
    for purl, old, new in found.packages:
        name = purl.removeprefix("pkg:")
        if old is None:
            session.out.print(f"[green]+ {name} {new}[/]", soft_wrap=True)
        elif new is None:
            session.out.print(f"[red]- {name} {old}[/]", soft_wrap=True)
        else:
            session.out.print(f"~ {name} {old} -> {new}", soft_wrap=True)
    if not found.packages:
        session.out.print("the same packages")
    if found.layers is not None:
        layers = found.layers
        session.out.print(f"{layers.added} new layers, {layers.bytes_added / 1e6:.1f} MB; {layers.shared} shared")


def _facts(old: Snapshot, new: Snapshot, found: Comparison) -> dict[str, object]:
    return {
        "old": old.name,
        "new": new.name,
        "packages": [{"purl": purl, "old": before, "new": after} for purl, before, after in found.packages],
        "layers": None
        if found.layers is None
        else {
            "shared": found.layers.shared,
            "added": found.layers.added,
            "bytes_added": found.layers.bytes_added,
        },
    }


COMMANDS = (diff, reproduce)
