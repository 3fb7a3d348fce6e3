from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from gate.audit.checkpoints import FILE, Checkpoints
from gate.audit.entry import Action, Event
from gate.cli import main
from gate.own_key import own_signer, public_key
from gate.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def data(tmp_path):
    """A data directory as a gate leaves it, with three entries and a checkpoint over two."""
    with closing(Store(tmp_path / "gate.db", lambda: AT)) as store:
        store.audit.record(Event(Action.LOGIN_REFUSED, "mallory", detail="\x1b[31mred"))
        store.audit.record(Event(Action.ROBOT_CREATED, "alice", detail="ci"))
        Checkpoints(store.audit, own_signer(tmp_path), tmp_path / FILE, lambda: AT).write()
        store.audit.record(Event(Action.ROBOT_REMOVED, "alice", detail="ci"))
    return tmp_path


@pytest.fixture
def run(data):
    def run(*arguments: str):
        return CliRunner().invoke(main, ["audit", *arguments], env={"MLGATE_DATA": str(data)})

    return run


def change(data, statement: str) -> None:
    with closing(sqlite3.connect(data / "gate.db")) as database:
        database.execute(statement)
        database.commit()


def test_entries_are_shown_and_a_terminal_is_not_told_what_to_do(run):
    assert run("show").output == (
        "     1 2026-11-22T12:00:00Z  login-refused  mallory  ?[31mred\n"
        "     2 2026-11-22T12:00:00Z  robot-created  alice  ci\n"
        "     3 2026-11-22T12:00:00Z  robot-removed  alice  ci\n"
    )
    assert run("show", "--actor", "alice", "--last", "1").output.startswith("     3 ")


def test_an_export_has_all_that_is_hashed(run):
    lines = [json.loads(line) for line in run("export", "--after", "1").output.splitlines()]
    assert [line["sequence"] for line in lines] == [2, 3]
    assert lines[1]["previous"] == lines[0]["hash"]


def test_an_export_may_be_long(run, data):
    with closing(Store(data / "gate.db", lambda: AT)) as store, store._database.writing() as session:
        for _ in range(1200):
            store.audit.append(session, Event(Action.UNTAGGED, "alice"))
    assert len(run("export").output.splitlines()) == 1203


def test_a_log_that_holds_is_said_to(run):
    done = run("verify")
    assert done.exit_code == 0, done.output
    assert "3 entries;" in done.output
    assert "checkpoints: 1; the last that holds is over entry 2" in done.output
    assert done.output.endswith("nothing was changed\n")


def test_a_change_is_named_with_the_entry_and_the_exit_code_tells(run, data):
    change(data, "UPDATE audit SET actor = 'bob' WHERE sequence = 2")
    done = run("verify")
    assert done.exit_code == 1
    assert "CHANGED: entry 2 was changed: what it says has the hash sha256:" in done.output


def test_what_was_cut_off_is_missed_with_a_checkpoint_kept_elsewhere(run, data):
    kept = data / "elsewhere.jsonl"
    kept.write_text(run("checkpoint").output)
    key = data / "gate.pem"
    key.write_text(public_key(data))
    change(data, "DELETE FROM audit WHERE sequence = 3")
    assert run("verify").exit_code == 0
    done = run("verify", "--checkpoints", str(kept), "--key", str(key))
    assert done.exit_code == 1
    assert "CHANGED: entry 3 is missing, with all up to entry 3, which the checkpoint" in done.output


def test_a_line_that_no_gate_signed_is_a_change(run, data):
    line = (data / FILE).read_text()
    (data / FILE).write_text(line + "{}\n")
    done = run("verify")
    assert done.exit_code == 1
    assert f"{FILE}:2 is no checkpoint" in done.output


def test_there_is_no_log_where_no_gate_has_run(tmp_path):
    done = CliRunner().invoke(main, ["audit", "verify"], env={"MLGATE_DATA": str(tmp_path / "none")})
    assert done.exit_code == 3
    assert "there is no database" in done.output
