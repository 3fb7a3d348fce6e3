"""`mlbuild base`: the curated bases, listed, shown, built and locked."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from builder.bases.build import build_base
from builder.bases.lock import lock_base
from builder.cli.context import Session, failing_well
from builder.cli.outdated import outdated
from compliance.bases import BaseDefinition, find_architectures


@click.group(name="base")
def group() -> None:
    """Curated base images: list, show, build, lock, and see which are outdated."""


group.add_command(outdated)


@group.command(name="list")
@click.pass_obj
@failing_well
def list_bases(session: Session) -> None:
    """List the bases, who owns them and how long they live.

    \b
    Examples:
      mlbuild base list
      mlbuild --json base list   with their digests
    """
    bases = session.workshop.bases
    if session.as_json:
        session.emit({"bases": [_facts(session, base) for base in bases]})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("BASE", "ARCH", "PYTHON", "END OF LIFE", "OWNER"):
        table.add_column(column, overflow="fold")
    for base in bases:
        table.add_row(
            base.name,
            base.architecture,
            base.python,
            f"{base.recipe.end_of_life} ({_days_left(session, base)} days)",
            base.recipe.owner,
        )
    session.out.print(table)


@group.command()
@click.argument("name")
@click.pass_obj
@failing_well
def show(session: Session, name: str) -> None:
    """Show one base: what it is, and every package in it.

    \b
    Examples:
      mlbuild base show python3.11-slim
      mlbuild --json base show python3.11-slim
    """
    base = session.workshop.base(name)
    if session.as_json:
        session.emit(_facts(session, base) | {"packages": [package.purl for package in base.packages]})
        return
    for label, value in _facts(session, base).items():
        if value is None:
            continue
        session.out.print(f"{label.replace('_', ' '):<14} {value}", soft_wrap=True)
    session.out.print("packages")
    for package in base.packages:
        session.out.print(f"  {package.name} {package.version}  {package.licence or ''}", soft_wrap=True)


@group.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Build every base there is.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write each as an OCI layout: DIRECTORY/NAME-ARCHITECTURE.",
)
@click.pass_obj
@failing_well
def build(session: Session, name: str | None, every: bool, output: Path | None) -> None:
    """Build a base from its lock, for each architecture, and verify that it has the digests of the lock.

    \b
    Examples:
      mlbuild base build python3.11-slim
      mlbuild base build --all --output /tmp/bases
    """
    if (name is None) is not every:
        raise click.UsageError("Give either the NAME of a base or --all.")
    workshop = session.workshop
    chosen = workshop.bases if name is None else find_architectures(workshop.bases, name)
    built = [build_base(base, workshop.cache, workshop.progress) for base in chosen]
    if output is not None:
        for base in built:
            base.write(output / f"{base.definition.name}-{base.definition.architecture}")
    if session.as_json:
        session.emit({"bases": [_identity(base.definition) for base in built]})
        return
    for base in built:
        session.out.print(_line(base.definition), soft_wrap=True)


@group.command()
@click.argument("name")
@click.pass_obj
@failing_well
def lock(session: Session, name: str) -> None:
    """Resolve a base's packages again, by apt on Debian, and write its lock.

    What is as it was keeps its digest. Commit the lock together with the recipe: its change is what a
    reviewer looks at.

    \b
    Examples:
      mlbuild base lock python3.11-slim
      git diff base-images/python3.11-slim/base.lock.toml
    """
    workshop = session.workshop
    folder = workshop.settings.bases / name
    locked = lock_base(folder, workshop.cache, workshop.progress, now=workshop.now)
    if session.as_json:
        session.emit({"bases": [_identity(base) for base in locked]})
        return
    for base in locked:
        session.out.print(_line(base), soft_wrap=True)


def _identity(base: BaseDefinition) -> dict[str, object]:
    return {"name": base.name, "architecture": base.architecture, "digest": base.digest}


def _line(base: BaseDefinition) -> str:
    return f"{base.name} {base.architecture} {base.digest}"


def _facts(session: Session, base: BaseDefinition) -> dict[str, object]:
    return {
        "name": base.name,
        "digest": base.digest,
        "architecture": base.architecture,
        "os": f"{base.os.id} {base.os.version}",
        "python": base.python,
        "cuda": base.cuda,
        "owner": base.recipe.owner,
        "end_of_life": base.recipe.end_of_life.isoformat(),
        "days_left": _days_left(session, base),
        "size": base.size,
    }


def _days_left(session: Session, base: BaseDefinition) -> int:
    return (base.end_of_life - session.workshop.now).days
