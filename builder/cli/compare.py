"""`mlbuild diff` and `mlbuild reproduce`: an image held against another, or against a second build of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.markup import escape

from builder.cli.context import REFUSED, Session, failing_well
from builder.compare import Comparison, Judged, Snapshot, compare_platforms
from builder.published import fetch_published, fetch_published_each
from builder.reproduce import reproduce as build_again
from builder.snapshots import of_directory, of_lock_file, of_published
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient


@click.command()
@click.argument("old")
@click.argument("new")
@click.pass_obj
@failing_well
def diff(session: Session, old: str, new: str) -> None:
    """Show what lies between OLD and NEW: packages, layers, bytes and verdict.

    Each is a pylock.toml, a project's directory (its built image), or an image or index in a registry. Where
    there are several platforms it is told for each. The verdicts are of the policies here, as of now: on a
    project's image; of a lock and of an image in a registry on what spec and lock say.

    \b
    Examples:
      mlbuild diff gate.example.com/serving/iris:1.3 gate.example.com/serving/iris:1.4
      mlbuild diff gate.example.com/serving/iris:1.4 .
      git show main:pylock.toml > /tmp/pylock.toml && mlbuild diff /tmp/pylock.toml pylock.toml
    """
    before, after = _snapshots(session, old), _snapshots(session, new)
    found = compare_platforms(before, after)
    if session.as_json:
        session.emit({"old": old, "new": new, **_facts(before, found)})
        return
    for platform, comparison in found.items():
        if len(found) > 1:
            session.out.print(f"{platform}:", style="bold")
        if comparison is None:
            session.out.print(f"only {_side(before, platform)} has it", soft_wrap=True)
        else:
            _show(session, comparison)


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


def _snapshots(session: Session, text: str) -> tuple[Snapshot, ...]:
    path = Path(text)
    if path.is_dir():
        return of_directory(path, session.workshop)
    if path.is_file():
        return of_lock_file(path, session.workshop, session.project)
    reference = _reference(text)
    with _client(reference) as client:
        images = fetch_published_each(client, reference, session.workshop.trusted_keys)
    return tuple(of_published(image, session.workshop) for image in images)


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
    before, after = _verdict(found.before), _verdict(found.after)
    session.out.print(f"verdict: {before}" if before == after else f"verdict: {before} -> {after}", soft_wrap=True)


def _verdict(judged: Judged) -> str:
    if judged.verdict is None:
        return f"not judged ({escape(judged.why)})"
    return f"{judged.verdict} ({', '.join(judged.rules)})" if judged.rules else str(judged.verdict)


def _side(before: Sequence[Snapshot], platform: str) -> str:
    return "OLD" if any(one.platform == platform for one in before) else "NEW"


def _facts(before: Sequence[Snapshot], found: Mapping[str, Comparison | None]) -> dict[str, object]:
    if len(found) == 1 and (only := next(iter(found.values()))) is not None:
        return _facts_of(only)
    return {
        "platforms": {
            platform: {"only": _side(before, platform).lower()} if comparison is None else _facts_of(comparison)
            for platform, comparison in found.items()
        }
    }


def _facts_of(found: Comparison) -> dict[str, object]:
    return {
        "packages": [{"purl": purl, "old": before, "new": after} for purl, before, after in found.packages],
        "layers": None
        if found.layers is None
        else {
            "shared": found.layers.shared,
            "added": found.layers.added,
            "bytes_added": found.layers.bytes_added,
        },
        "verdicts": {"old": _facts_of_verdict(found.before), "new": _facts_of_verdict(found.after)},
    }


def _facts_of_verdict(judged: Judged) -> dict[str, object]:
    if judged.verdict is None:
        return {"verdict": None, "why": judged.why}
    return {"verdict": judged.verdict, "rules": list(judged.rules)}
