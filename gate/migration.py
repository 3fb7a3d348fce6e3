"""Which tables a database has, and how it gets those that this program wants.

The revisions are in `gate.migrations`. One transaction brings a database from what it was to what is wanted,
and the caller holds the lock of writers meanwhile: a gate that is killed leaves what was there before, and of
two gates that start at once the second finds the work done.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from compliance.errors import Unavailable
from gate.schema import Table

SCRIPTS: Final = Path(__file__).parent / "migrations"

log = logging.getLogger(__name__)


class Condition(StrEnum):
    """How the tables of a database stand to this program."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    NEWER = "newer"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """`version` is what the database says of itself; `wanted` what this program is written for."""

    condition: Condition
    version: str | None
    wanted: str
    problem: str = ""


def state_of(connection: Connection, scripts: Path = SCRIPTS) -> SchemaState:
    """Read which version is there, and whether all of it is. `scripts` is where the revisions are."""
    revisions = ScriptDirectory(str(scripts))
    wanted = revisions.get_current_head() or ""
    known = {revision.revision for revision in revisions.walk_revisions()}
    versions = MigrationContext.configure(connection).get_current_heads()
    found = set(inspect(connection).get_table_names())
    if not versions:
        ours = sorted(found & set(Table.metadata.tables))
        if not ours:
            return SchemaState(Condition.EMPTY, None, wanted)
        return SchemaState(
            Condition.BROKEN, None, wanted, f"it has the table {ours[0]!r} and says no version of its tables"
        )
    version = ", ".join(versions)
    if len(versions) > 1:
        return SchemaState(Condition.BROKEN, version, wanted, "it says several versions of its tables")
    if version not in known:
        return SchemaState(Condition.NEWER, version, wanted, f"its tables are of version {version}")
    if version != wanted:
        return SchemaState(Condition.BEHIND, version, wanted)
    missing = _missing(connection, found)
    if missing is not None:
        return SchemaState(Condition.BROKEN, version, wanted, missing)
    return SchemaState(Condition.CURRENT, version, wanted)


def prepare(connection: Connection, *, by_itself: bool, name: str, scripts: Path = SCRIPTS) -> None:
    """Make sure, before a gate starts, that the tables are those it wants.

    An empty database gets them. One with older tables is upgraded `by_itself`, or refused: where several gates
    share it, a person says when. Raises Unavailable for that, and for a database that is newer or not whole.
    """
    state = state_of(connection, scripts)
    if state.condition is Condition.BEHIND and not by_itself:
        raise Unavailable(
            f"the tables of {name} are of version {state.version}, and this gate wants {state.wanted}",
            remedy="Stop the gates that use it, make a backup, and run: mlgate database upgrade",
        )
    if state.condition is not Condition.CURRENT:
        upgrade(connection, name, scripts)


def upgrade(connection: Connection, name: str, scripts: Path = SCRIPTS) -> SchemaState:
    """Bring the tables to the wanted version within the caller's transaction; returns what was there before.

    Raises Unavailable for a database that is newer than this program, or not whole.
    """
    state = state_of(connection, scripts)
    if state.condition is Condition.NEWER:
        raise Unavailable(
            f"the database {name} is newer than this gate: {state.problem}, and this gate knows {state.wanted}",
            remedy="Install the mlbuild that it was upgraded with, or restore the backup made before that.",
        )
    if state.condition is Condition.BROKEN:
        raise Unavailable(
            f"the database {name} is not whole: {state.problem}",
            remedy="Restore it from a backup, or begin with an empty database.",
        )
    if state.condition is not Condition.CURRENT:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))  # % is the format's own
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        log.info(
            "the tables of %s are now of version %s (before: %s)", name, state.wanted, state.version or "none"
        )
    return state


def _missing(connection: Connection, found: set[str]) -> str | None:
    """The first table or column that should be there and is not."""
    tables = Table.metadata.tables
    for table in sorted(tables):
        if table not in found:
            return f"the table {table!r} is missing"
    columns = inspect(connection).get_multi_columns(filter_names=list(tables))
    for (_, table), present in sorted(columns.items(), key=lambda item: item[0][1]):
        missing = set(tables[table].columns.keys()) - {column["name"] for column in present}
        if missing:
            return f"the column {min(missing)!r} of the table {table!r} is missing"
    return None
