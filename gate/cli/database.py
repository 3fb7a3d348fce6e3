"""`mlgate database`: the tables' version, and the way to a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from compliance.errors import Unavailable
from gate.database import Database
from gate.migration import Condition
from gate.settings import Settings, read_settings

_SAYS: Final = {
    Condition.EMPTY: "there are no tables; the first gate that starts makes them",
    Condition.BEHIND: "older than this program; run: mlgate database upgrade",
    Condition.CURRENT: "what this program wants",
    Condition.NEWER: "newer than this program",
    Condition.BROKEN: "not whole",
}

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=Settings.model_fields["data"].description,
)


@contextmanager
def opened(data: Path | None, *, any_version: bool = False) -> Iterator[Database]:
    """The gate's database, by its settings, as it is: a question makes none and upgrades none.

    Raises Unavailable when there is none, or, unless `any_version`, one that this program is not written for.
    """
    settings = read_settings(data=data)
    url = settings.database_url
    file = url.database or ""
    if url.get_backend_name() == "sqlite" and not Path(file).exists():
        raise Unavailable(
            f"there is no database {file}",
            remedy="Name the gate's --data directory, or its database in MLGATE_DATABASE.",
        )
    database = Database(url, as_found=True)
    try:
        state = database.schema()
        if not any_version and state.condition is not Condition.CURRENT:
            raise Unavailable(
                f"the tables of {database.name} are {state.condition}: {_SAYS[state.condition]}",
                remedy="See which version is there: mlgate database status",
            )
        yield database
    finally:
        database.close()


@click.group()
def database() -> None:
    """The gate's database: which version its tables are of.

    It is a SQLite file in the data directory, or where MLGATE_DATABASE says.
    """


@database.command()
@data_option
def status(data: Path | None) -> None:
    """Show which version the tables are of; exit code 3 when a gate would not start on them.

    \b
    Examples:
      mlgate database status
      MLGATE_DATABASE=postgresql://gate@db.internal/gate mlgate database status
    """
    with opened(data, any_version=True) as found:
        state = found.schema()
        click.echo(f"{found.name}: version {state.version or 'none'}, {_SAYS[state.condition]}")
    if state.condition in {Condition.NEWER, Condition.BROKEN}:
        raise Unavailable(state.problem, remedy="Ask for an upgrade to learn what to do: mlgate database upgrade")
    if state.condition is Condition.BEHIND:
        click.get_current_context().exit(3)


@database.command()
@data_option
def upgrade(data: Path | None) -> None:
    """Bring the tables to the version of this program, all of it or nothing.

    A gate does that by itself when it starts on a SQLite file, or on a database without tables. On PostgreSQL,
    which other gates may be using, it asks for this instead. Stop the gates and make a backup before.

    \b
    Examples:
      mlgate backup /var/backups/mlgate/today && mlgate database upgrade
    """
    with opened(data, any_version=True) as found:
        before = found.upgrade()
        change = "already" if before.condition is Condition.CURRENT else f"{before.version or 'none'} ->"
        click.echo(f"{found.name}: {change} {before.wanted}")
