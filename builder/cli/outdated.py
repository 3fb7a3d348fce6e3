"""`mlbuild base outdated`: what is pending for the curated bases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from builder.bases.outdated import Standing, Update, standings
from builder.cli.context import DONE, REFUSED, UNDECIDED, Session, failing_well
from compliance.bases import find_architectures
from compliance.evidence import Absent


@click.command()
@click.argument("name", required=False)
@click.option("--security", is_flag=True, help="Only security updates count as pending.")
@click.option(
    "--within",
    type=click.IntRange(min=0),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="How near an end of life counts as pending.",
)
@click.pass_obj
@failing_well
def outdated(session: Session, name: str | None, security: bool, within: int) -> None:
    """Say which bases have updates pending, or are near their end of life.

    Compares each lock with what the archives offer at this moment; the lock is left as it is. Needs apt,
    but no root. Exit code 0: all are current; 1: something is pending; 3: an archive cannot be asked.

    \b
    Examples:
      mlbuild base outdated
      mlbuild base outdated python3.11-slim --within 180
      mlbuild --json base outdated --security    for a nightly job
    """
    workshop = session.workshop
    asked = workshop.bases if name is None else find_architectures(workshop.bases, name)
    found = standings(asked, workshop.progress, now=workshop.now)
    if session.as_json:
        session.emit({"bases": [_facts(one, within) for one in found]})
    else:
        _print(session, found, within)
    if any(isinstance(one.updates, Absent) for one in found):
        raise click.exceptions.Exit(UNDECIDED)
    pending = any(one.days_left <= within or (one.security if security else one.updates) for one in found)
    raise click.exceptions.Exit(REFUSED if pending else DONE)


def _print(session: Session, found: Sequence[Standing], within: int) -> None:
    for one in found:
        said = f"{one.base.name} {one.base.architecture}: {_summary(one, within)}"
        session.out.print(said, soft_wrap=True, markup=False)
        updates = () if isinstance(one.updates, Absent) else one.updates
        width = max((len(update.name) for update in updates), default=0)
        for update in updates:
            session.out.print(f"  {update.name:<{width}}  {_change(update)}", soft_wrap=True)
    behind = sorted({one.base.name for one in found if one.updates and not isinstance(one.updates, Absent)})
    for name in behind:
        session.out.print(f"next: mlbuild base lock {name}", soft_wrap=True)


def _summary(standing: Standing, within: int) -> str:
    if isinstance(standing.updates, Absent):
        said = f"unknown, {standing.updates.reason}"
    elif standing.updates:
        count = len(standing.updates)
        said = f"{count} update{'s' if count > 1 else ''} pending, {len(standing.security) or 'none'} for security"
    else:
        said = "current"
    end = standing.base.recipe.end_of_life
    if standing.days_left < 0:
        return f"{said}; past its end of life since {end}"
    return f"{said}; end of life in {standing.days_left} days, on {end}" if standing.days_left <= within else said


def _change(update: Update) -> str:
    if update.available is None:
        return f"{update.locked} -> no longer needed"
    place = f"{update.archive}, security" if update.security else f"{update.archive}"
    return f"{update.locked or 'not there yet'} -> {update.available}  ({place})"


def _facts(standing: Standing, within: int) -> dict[str, Any]:
    base = standing.base
    return {
        "name": base.name,
        "architecture": base.architecture,
        "digest": base.digest,
        "end_of_life": base.recipe.end_of_life.isoformat(),
        "days_left": standing.days_left,
        "ends_soon": standing.days_left <= within,
        "unknown": standing.updates.reason if isinstance(standing.updates, Absent) else None,
        "updates": None
        if isinstance(standing.updates, Absent)
        else [
            {
                "package": update.name,
                "locked": update.locked,
                "available": update.available,
                "archive": update.archive,
                "security": update.security,
            }
            for update in standing.updates
        ],
    }
