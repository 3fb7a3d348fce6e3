from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from click.testing import CliRunner
from sqlalchemy import inspect, text

from compliance.errors import Unavailable
from gate.cli import main
from gate.database import Database
from gate.migration import SCRIPTS, Condition, prepare, state_of, upgrade
from gate.migrations.difference import difference

HOW_TO_MEND = """
The revisions of gate/migrations do not make the tables that the program wants. Nothing is released yet, so there
is one revision: put these lines into `upgrade` of gate/migrations/versions/initial.py (a table after those that
its foreign keys name), then `ruff format` it. `python -m gate.migrations.difference` prints them as well.

"""


def test_the_revisions_make_the_tables_that_the_program_wants(place):
    with closing(Database(place)) as database, database._engine.connect() as connection:
        missing = difference(connection)
    assert not missing, HOW_TO_MEND + missing


def test_a_database_is_made_once_when_several_open_it_at_a_time(place):
    failures: list[BaseException] = []
    opened: list[Database] = []

    def open_() -> None:
        try:
            opened.append(Database(place))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {each.schema().condition for each in opened} == {Condition.CURRENT}
    for each in opened:
        each.close()


@pytest.mark.parametrize(
    ("change", "message", "condition"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this gate", Condition.NEWER),
        ("INSERT INTO alembic_version VALUES ('9999')", "several versions", Condition.BROKEN),
        ("DROP TABLE alembic_version", "says no version", Condition.BROKEN),
        ("DROP TABLE statements", "'statements' is missing", Condition.BROKEN),
        ("ALTER TABLE statements DROP COLUMN bundle", "'bundle' of the table 'statements'", Condition.BROKEN),
    ],
    ids=["newer", "two versions", "no version", "without a table", "without a column"],
)
def test_a_database_that_is_not_as_wanted_is_left_alone_and_not_used(place, change, message, condition):
    with closing(Database(place)) as database, database.writing() as session:
        session.execute(text(change))
    with pytest.raises(Unavailable, match=message) as refused:
        Database(place)
    assert "backup" in (refused.value.remedy or "")
    with closing(Database(place, as_found=True)) as database:
        assert database.schema().condition is condition
        with pytest.raises(Unavailable):
            database.upgrade()


SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("later", sa.Column("x", sa.Integer(), primary_key=True))
    {then}
"""


def scripts_with_a_second_revision(directory, then: str = ""):
    scripts = directory / "100% other" / "migrations"
    shutil.copytree(SCRIPTS, scripts)
    (scripts / "versions" / "second.py").write_text(SECOND.format(then=then))
    return scripts


def test_older_tables_are_upgraded_where_one_gate_is_alone_and_else_when_asked_to(place, tmp_path):
    scripts = scripts_with_a_second_revision(tmp_path)
    with closing(Database(place)) as database, database.writing() as session:
        connection = session.connection()
        assert state_of(connection, scripts).condition is Condition.BEHIND
        with pytest.raises(Unavailable, match=r"are of version 0001, and this gate wants 0002") as refused:
            prepare(connection, by_itself=False, name="the database", scripts=scripts)
        assert "mlgate database upgrade" in (refused.value.remedy or "")
        prepare(connection, by_itself=True, name="the database", scripts=scripts)
        assert state_of(connection, scripts).condition is Condition.CURRENT
        assert state_of(connection).condition is Condition.NEWER


def test_a_revision_that_fails_halfway_leaves_the_tables_as_they_were(place, tmp_path):
    scripts = scripts_with_a_second_revision(tmp_path, 'raise KeyError("halfway")')

    def run(database: Database) -> None:
        with database.writing() as session:
            upgrade(session.connection(), "the database", scripts)

    with closing(Database(place)) as database:
        with pytest.raises(KeyError):
            run(database)
        with database.reading() as session:
            assert not inspect(session.connection()).has_table("later")
        assert database.schema().condition is Condition.CURRENT


def test_an_upgrade_that_fails_leaves_nothing_behind(tmp_path):
    with closing(sqlite3.connect(tmp_path / "gate.db")) as database:
        database.execute("CREATE TABLE other (x)")
        database.execute("CREATE INDEX parts_by_blob ON other (x)")  # the name of one of the last things made
        database.commit()
    with pytest.raises(Unavailable):
        Database(tmp_path / "gate.db")
    with closing(Database(tmp_path / "gate.db", as_found=True)) as left:
        assert left.schema().condition is Condition.EMPTY


def test_the_commands_say_what_is_there_and_upgrade_it(tmp_path):
    def run(*arguments: str):
        return CliRunner().invoke(main, ["database", *arguments], env={"MLGATE_DATA": str(tmp_path)})

    assert "there is no database" in run("status").output
    sqlite3.connect(tmp_path / "gate.db").close()
    assert "there are no tables" in run("status").output
    assert run("upgrade").output == f"{tmp_path / 'gate.db'}: none -> 0001\n"
    assert run("upgrade").output == f"{tmp_path / 'gate.db'}: already 0001\n"
    assert run("status").output == f"{tmp_path / 'gate.db'}: version 0001, what this program wants\n"
    with closing(sqlite3.connect(tmp_path / "gate.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    assert run("status").exit_code == 3
    assert "Install the mlbuild" in run("upgrade").output
