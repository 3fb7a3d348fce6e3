from __future__ import annotations

import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from compliance.errors import InvalidInput, Unavailable
from gate.audit.entry import Action, Event
from gate.audit.log import AuditLog
from gate.database import Database
from gate.settings import read_settings
from gate.store import Store
from tests.gate.postgres_process import PASSWORD, Postgres

AT = datetime(2026, 11, 22, tzinfo=UTC)
EVENT = Event(Action.LOGIN_REFUSED, "somebody")


def test_the_database_is_a_file_in_the_data_directory_unless_one_is_named(tmp_path):
    assert read_settings(data=tmp_path).database_url.database == str(tmp_path / "gate.db")
    named = read_settings(database="postgresql://gate:secret@db.internal/gate")
    assert named.database_url.host == "db.internal"
    assert "secret" not in repr(named) + str(named.database_url)


@pytest.mark.parametrize(
    "url", ["mysql://gate:secret@db/gate", "postgresql://gate:secret@db", "gate:secret", "://"]
)
def test_a_url_of_no_database_is_refused_without_being_repeated(url, monkeypatch):
    monkeypatch.setenv("MLGATE_DATABASE", url)
    with pytest.raises(InvalidInput, match="setting 'database': write postgresql://") as refused:
        read_settings()
    assert "secret" not in str(refused.value)
    assert "MLGATE_DATABASE" in (refused.value.remedy or "")


def test_what_is_written_is_on_disk(place):
    with closing(Database(place)) as database, database.reading() as session:
        if database.is_shared:
            assert session.execute(text("SHOW synchronous_commit")).scalar() == "on"
        else:
            assert session.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
            assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_writers_of_two_gates_take_turns(place):
    with closing(Database(place)) as one, closing(Database(place)) as other:
        order: list[str] = []

        def write_after() -> None:
            with other.writing() as session:
                session.execute(text("SELECT 1"))
                order.append("other")

        thread = threading.Thread(target=write_after)
        with one.writing() as session:
            session.execute(text("SELECT 1"))
            thread.start()
            time.sleep(0.3)
            order.append("one")
        thread.join()
        assert order == ["one", "other"]


@pytest.mark.acceptance
def test_a_turn_at_a_repository_is_kept_from_other_gates_and_from_no_other_repository(postgres):
    url = postgres.new_database()
    with closing(Store(url)) as one, closing(Store(url)) as other:
        order: list[str] = []

        def change() -> None:
            with other.turn("team/image"):
                order.append("other")

        thread = threading.Thread(target=change)
        with one.turn("team/image"):
            thread.start()
            with other.turn("team/elsewhere"):
                order.append("elsewhere")
            time.sleep(0.3)
            order.append("one")
        thread.join()
        assert order == ["elsewhere", "one", "other"]


@pytest.mark.acceptance
def test_a_server_that_is_away_makes_the_gate_unavailable_and_is_found_again():
    server = Postgres().start()
    try:
        with closing(Database(server.new_database())) as database:
            audit = AuditLog(database, lambda: AT)
            audit.record(EVENT)
            server.stop()
            for question in (audit.head, lambda: audit.record(EVENT)):
                with pytest.raises(Unavailable, match="cannot be used") as away:
                    question()
                assert PASSWORD not in f"{away.value} {away.value.remedy}"
            server.start()
            assert audit.record(EVENT) == 2
    finally:
        server.end()


@pytest.mark.acceptance
def test_a_wrong_password_is_not_told(postgres):
    url = postgres.new_database().set(password="quite wrong")
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        Database(url)
    assert "quite" not in str(refused.value)
