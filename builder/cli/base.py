"""`mlbuild base`: the curated bases."""

from __future__ import annotations

import click
from rich.table import Table

from builder.bases import build_base, lock_base
from builder.cli.context import Session, failing_well
from compliance.bases import BaseDefinition


@click.group(name="base")
def group() -> None:
    """Curated base images: list, show, build, lock."""


@group.command(name="list")
@click.pass_obj
@failing_well
def list_bases(session: Session) -> None:
    """List the bases, who owns them and how long they live."""
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
    """Show one base: what it is, and every package in it."""
    base = session.workshop.base(name)
    if session.as_json:
        session.emit(_facts(session, base) | {"packages": [package.purl for package in base.packages]})
        return
    for label, value in _facts(session, base).items():
        session.out.print(f"{label.replace('_', ' '):<14} {value}", soft_wrap=True)
    session.out.print("packages")
    for package in base.packages:
        session.out.print(f"  {package.name} {package.version}  {package.licence or ''}", soft_wrap=True)


@group.command()
@click.argument("name")
@click.pass_obj
@failing_well
def build(session: Session, name: str) -> None:
    """Build a base from its lock, and verify that it has the digest the lock promises."""
    workshop = session.workshop
    built = build_base(workshop.base(name), workshop.cache, workshop.progress)
    digest = built.definition.digest
    if session.as_json:
        session.emit({"name": name, "digest": digest})
    else:
        session.out.print(f"{name}@{digest}", soft_wrap=True)


@group.command()
@click.argument("name")
@click.pass_obj
@failing_well
def lock(session: Session, name: str) -> None:
    """Resolve a base's packages again, by apt on Debian, and write its lock."""
    workshop = session.workshop
    folder = workshop.settings.bases / name
    for base in lock_base(folder, workshop.cache, workshop.progress, now=workshop.now):
        session.out.print(f"{base.name} {base.architecture} {base.digest}", soft_wrap=True)


def _facts(session: Session, base: BaseDefinition) -> dict[str, object]:
    return {
        "name": base.name,
        "digest": base.digest,
        "architecture": base.architecture,
        "os": f"{base.os.id} {base.os.version}",
        "python": base.python,
        "owner": base.recipe.owner,
        "end_of_life": base.recipe.end_of_life.isoformat(),
        "days_left": _days_left(session, base),
        "size": base.size,
    }


def _days_left(session: Session, base: BaseDefinition) -> int:
    return (base.end_of_life - session.workshop.now).days
