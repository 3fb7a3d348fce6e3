"""The revisions of the gate's tables, for Alembic: `versions/`, each a step from the one before.

`gate.migration` runs them. The tables as the program sees them are in `gate.schema` and beside what uses them;
a test holds both against each other, on SQLite and on PostgreSQL, and prints the lines that a revision lacks.
"""
