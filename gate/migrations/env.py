"""What Alembic runs the revisions in: the connection, and the transaction, of whoever asked for them."""

from __future__ import annotations

from alembic import context

from gate.schema import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
context.run_migrations()
