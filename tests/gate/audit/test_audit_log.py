from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from compliance.attest.keys import TrustedKeys, generate_key, load_signer
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from gate.audit.checkpoints import Checkpoints, read, read_lines, sign
from gate.audit.entry import AT_A_TIME, Action, Event, Head
from gate.audit.log import AuditLog
from gate.audit.verification import verify
from gate.database import Database

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVENT = Event(Action.LOGIN_REFUSED, "somebody", detail="wrong password")


@pytest.fixture
def database(place):
    with closing(Database(place)) as opened:
        yield opened


def log_of(database) -> AuditLog:
    return AuditLog(database, lambda: AT)


def test_entries_are_numbered_and_chained(database):
    audit = log_of(database)
    assert audit.head() == Head()
    assert [audit.record(EVENT), audit.record(EVENT)] == [1, 2]
    assert verify(database).head == audit.head()
    assert verify(database).problems == ()


def test_an_entry_comes_with_what_it_tells_of_or_not_at_all(database):
    audit = log_of(database)

    def interrupted() -> None:
        with database.writing() as session:
            audit.append(session, EVENT)
            raise KeyError("interrupted")

    with pytest.raises(KeyError):
        interrupted()
    assert audit.head() == Head()


def test_a_change_is_told_once_by_all_gates(database):
    first = Event(Action.RULES_CHANGED, "gate", content=Digest.of(b"1"))
    audit, other = log_of(database), log_of(database)
    assert [audit.record_change(first), other.record_change(first), audit.record(EVENT)] == [1, None, 2]
    assert other.record_change(first) is None
    assert other.record_change(Event(Action.RULES_CHANGED, "gate", content=Digest.of(b"2"))) == 3
    assert other.record_change(first) == 4


def test_a_session_that_only_reads_cannot_append(database):
    with database.reading() as session, pytest.raises(ValueError, match="writing"):
        log_of(database).append(session, EVENT)


def test_gates_that_append_at_once_make_one_chain(place):
    gates = [Database(place) for _ in range(4)]

    def append(database: Database) -> None:
        for _ in range(25):
            log_of(database).record(EVENT)

    threads = [threading.Thread(target=append, args=(gate,)) for gate in gates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(gates[0])
    assert report.head.sequence == 100
    assert report.problems == ()
    for gate in gates:
        gate.close()


def test_a_long_log_is_verified_followed_and_changed_entries_are_found_in_it(database):
    audit = log_of(database)
    many = 2 * AT_A_TIME + 3
    with database.writing() as session:
        for _ in range(many):
            audit.append(session, EVENT)
    report = verify(database)
    assert (report.head.sequence, report.problems) == (many, ())
    assert audit.follow(Head()) == report.head
    assert audit.many.is_set()
    with database.writing() as session:
        session.execute(text("UPDATE audit SET actor = 'nobody' WHERE sequence IN (7, 1001)"))
    assert [each.sequence for each in verify(database).problems] == [7, 1001]
    with pytest.raises(InvalidInput, match="entry 7 was changed"):
        audit.follow(Head())


def test_a_checkpoint_is_written_when_the_log_has_grown_and_at_the_end(database, signer, tmp_path):
    audit, file = log_of(database), tmp_path / "checkpoints.jsonl"
    with Checkpoints(audit, signer, file, lambda: AT).kept():
        audit.record(EVENT)
        assert not file.exists()
    with Checkpoints(audit, signer, file, lambda: AT).kept():
        pass
    audit.record(EVENT)
    Checkpoints(audit, signer, file, lambda: AT).write()
    own = TrustedKeys.of("gate", signer)
    assert [read(line, own).sequence for _, line in read_lines(file)] == [1, 2]
    report = verify(database, [read(line, own) for _, line in read_lines(file)])
    assert (report.problems, report.covered) == ((), 2)


def test_a_chain_that_was_changed_is_not_signed_again(database, signer, tmp_path):
    audit, file = log_of(database), tmp_path / "checkpoints.jsonl"
    for _ in range(3):
        audit.record(EVENT)
    checkpoints = Checkpoints(audit, signer, file, lambda: AT)
    checkpoints.write()
    for _ in range(3):
        audit.record(EVENT)
    with database.writing() as session:
        session.connection().exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE sequence = 5")
    with pytest.raises(InvalidInput, match="entry 5 was changed"):
        checkpoints.write()
    with database.writing() as session:
        session.connection().exec_driver_sql("DELETE FROM audit WHERE sequence > 2")
    for again in (checkpoints, Checkpoints(audit, signer, file, lambda: AT)):
        with pytest.raises(InvalidInput, match="entry 3 is missing"):
            again.write()
    assert len(read_lines(file)) == 1


def test_a_checkpoint_of_another_key_is_none(signer, tmp_path):
    generate_key(tmp_path / "other.pem", tmp_path / "other-public.pem")
    line = sign(Head(3, Digest.of(b"x")), AT, load_signer(tmp_path / "other.pem"))
    with pytest.raises(InvalidInput, match="not trusted"):
        read(line, TrustedKeys.of("gate", signer))
    found = read(line, TrustedKeys.only(tmp_path / "other-public.pem"))
    assert (found.sequence, found.hash, found.at) == (3, Digest.of(b"x"), AT)
