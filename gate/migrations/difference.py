"""How the tables of a database differ from those of the program, and the lines of a revision that would mend it.

For whoever changes a table: `python -m gate.migrations.difference` compares what the revisions make with
`gate.schema`, and prints what the newest of them lacks.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import UpgradeOps
from sqlalchemy import Connection, create_engine
from sqlalchemy.types import TypeDecorator

import gate
from gate.migration import upgrade
from gate.schema import Table


def difference(connection: Connection) -> str:
    """Python for a revision's `upgrade` that would make the tables those of the program; empty when they are."""
    for module in pkgutil.walk_packages(gate.__path__, "gate."):
        if not module.name.startswith("gate.migrations") and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)  # wherever it stands, a table is compared
    context = MigrationContext.configure(
        connection,
        opts={"compare_type": True, "compare_server_default": True, "render_item": _as_plain_type},
    )
    operations = produce_migrations(context, Table.metadata).upgrade_ops
    assert isinstance(operations, UpgradeOps)  # noqa: S101 - what it is documented to be
    if operations.is_empty():
        return ""
    return render_python_code(operations, render_item=_as_plain_type, migration_context=context)


def _as_plain_type(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:  # noqa: ARG001
    """A revision stays as it is when the program's own types move on."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


if __name__ == "__main__":
    with create_engine("sqlite://").begin() as memory:
        upgrade(memory, "memory")
        print(difference(memory) or "# nothing: the revisions make the tables that the program wants")
