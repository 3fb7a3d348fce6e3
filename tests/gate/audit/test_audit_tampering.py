"""Whatever is changed in the log, or in what it tells of, is found, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST
from compliance.policy.decision import Mode, Verdict
from gate.audit.checkpoints import Checkpoint
from gate.audit.entry import Action, Event, Head, StoredEntry
from gate.audit.verification import Report, verify
from gate.database import Database
from gate.schema import Kind, StoredDecision, StoredManifest
from gate.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ENTRIES = 40


class Log:
    """A log with entries of several kinds, and checkpoints over some. Changes of it can be tried out."""

    def __init__(self, database: Database, heads: Sequence[Head]) -> None:
        self.database = database
        self.heads = heads

    def checkpoints(self, *sequences: int) -> list[Checkpoint]:
        return [
            Checkpoint(number, self.heads[number - 1].hash, AT + timedelta(minutes=number), "gate")
            for number in sequences
        ]

    def after(self, change: Callable[[Session], object], checkpoints: Sequence[Checkpoint] = ()) -> Report:
        """What a verification finds after a change, which is then taken back."""
        with self.database.writing() as session:
            with session.begin_nested() as trial:
                change(session)
                session.flush()
                session.expunge_all()
                report = verify(_Within(session), checkpoints)
                trial.rollback()
            return report


class _Within(Database):
    """The database as one session sees it before its end."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        yield self._session


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    clock = iter(AT + timedelta(seconds=number) for number in range(10_000))
    with closing(Store(tmp_path_factory.mktemp("log") / "gate.db", lambda: next(clock))) as store:
        heads: list[Head] = []
        for number in range(ENTRIES // 4):
            raw = b"{%d}" % number
            image = Digest.of(raw)
            store.record(decision(f"d{number}", image))
            heads.append(store.audit.head())
            store.publish(manifest(image, raw, f"d{number}"), [], f"v{number}", by="ci")
            heads.append(store.audit.head())
            store.publish(manifest(image, raw, f"d{number}"), [], "latest", by="ci")
            heads.append(store.audit.head())
            store.audit.record(Event(Action.LOGIN_REFUSED, "somebody", detail=f"attempt {number}"))
            heads.append(store.audit.head())
        yield Log(store._database, heads)


def decision(id_: str, image: Digest) -> StoredDecision:
    return StoredDecision(
        id=id_,
        repository="team/image",
        digest=image,
        tag="v1",
        user="ci",
        at=AT,
        verdict=Verdict.ADMITTED,
        line="admitted",
        inputs=image,
        policy_digest=image,
        evidence_digest=image,
        databases="",
        decision=b"{}",
        evidence=b"{}",
        mode=Mode.ENFORCE,
    )


def manifest(image: Digest, raw: bytes, decided: str) -> StoredManifest:
    return StoredManifest(
        repository="team/image",
        digest=image,
        media_type=OCI_MANIFEST,
        kind=Kind.IMAGE,
        raw=raw,
        subject=None,
        decision=decided,
        at=AT,
    )


def sql(statement: str, **values: object) -> Callable[[Session], object]:
    return lambda session: session.execute(text(statement), values)


def hash_anew(session: Session, start: int) -> None:
    """Make a chain of all entries from one on, as somebody would who knows how."""
    entries = session.query(StoredEntry).order_by(StoredEntry.sequence).all()
    for before, entry in zip([None, *entries], entries, strict=False):
        if entry.sequence >= start:
            if before is not None:
                entry.previous = before.hash
            entry.hash = entry.computed()


numbers = st.integers(1, ENTRIES)
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
strings = ("at", "action", "actor", "repository", "digest", "decision", "content", "detail", "previous", "hash")
optional = {"repository", "digest", "decision", "content"}


def test_a_log_that_was_not_changed_holds(log):
    report = log.after(sql("SELECT 1"), log.checkpoints(1, 7, ENTRIES))
    assert report == Report(log.heads[-1], (), ENTRIES)


@given(number=numbers, column=st.sampled_from(strings), value=st.none() | texts)
def test_an_edited_member_is_found_at_its_entry(log, number, column, value):
    if value is None and column not in optional:
        value = ""
    with log.database.reading() as session:
        changes = getattr(session.get(StoredEntry, number), column) != value
    report = log.after(lambda session: setattr(session.get(StoredEntry, number), column, value))
    assert bool(report.problems) == changes
    assert (number in {each.sequence for each in report.problems}) == changes


@given(first=numbers, count=st.integers(1, ENTRIES))
def test_entries_taken_out_are_missed_where_they_were(log, first, count):
    last = min(first + count - 1, ENTRIES)
    report = log.after(
        sql("DELETE FROM audit WHERE sequence BETWEEN :first AND :last", first=first, last=last),
        log.checkpoints(ENTRIES),
    )
    assert first in {each.sequence for each in report.problems}
    assert any("is missing" in each.what for each in report.problems)


@given(st.lists(numbers, min_size=2, max_size=6, unique=True))
def test_entries_in_another_order_are_found_all(log, chosen):
    def turn(session: Session) -> None:
        connection: Connection = session.connection()
        for number in chosen:
            connection.execute(text("UPDATE audit SET sequence = -sequence WHERE sequence = :it"), {"it": number})
        for number, other in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
            connection.execute(
                text("UPDATE audit SET sequence = :other WHERE sequence = -:it"), {"it": number, "other": other}
            )

    report = log.after(turn)
    assert set(chosen) <= {each.sequence for each in report.problems}


@given(number=numbers, signed=st.lists(numbers, min_size=1, max_size=4, unique=True))
def test_a_chain_hashed_anew_contradicts_every_checkpoint_from_there_on(log, number, signed):
    def change(session: Session) -> None:
        sql("UPDATE audit SET actor = 'nobody' WHERE sequence = :number", number=number)(session)
        hash_anew(session, number)

    report = log.after(change, log.checkpoints(*signed))
    contradicted = {each.sequence for each in report.problems if "were changed" in each.what}
    assert contradicted == {each for each in signed if each >= number}
    assert report.covered == max((each for each in signed if each < number), default=0)


@given(kept=st.integers(0, ENTRIES - 1))
def test_what_was_cut_off_the_end_is_missed_by_a_checkpoint_only(log, kept):
    cut = sql("DELETE FROM audit WHERE sequence > :kept", kept=kept)
    with_checkpoint = log.after(cut, log.checkpoints(ENTRIES)).problems
    assert any(each.sequence == kept + 1 and "is missing" in each.what for each in with_checkpoint)
    assert all(each.sequence is None for each in log.after(cut).problems)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE decisions SET verdict = 'refused' WHERE id = 'd3'", "entry 13 tells of the decision d3, which"),
        ("UPDATE decisions SET evidence = x'00' WHERE id = 'd3'", "entry 13 tells of the decision d3, which"),
        ("UPDATE decisions SET digest = 'none' WHERE id = 'd3'", "entry 13 tells of the decision d3, which"),
        ("UPDATE decisions SET at = 'never' WHERE id = 'd3'", "entry 13 tells of the decision d3, which"),
        ("DELETE FROM decisions WHERE id = 'd3'", "entry 13 tells of the decision d3, which is missing"),
        ("UPDATE manifests SET repository = 'other' WHERE decision = 'd3'", "no entry tells that other@"),
        ("UPDATE manifests SET digest = 'none' WHERE decision = 'd3'", "has an impossible name"),
        ("UPDATE tags SET digest = 'none' WHERE tag = 'v3'", "no entry tells that team/image:v3 was none"),
        ("UPDATE manifests SET raw = x'00' WHERE decision = 'd3'", "other content than its digest says"),
        ("UPDATE tags SET tag = 'v77' WHERE tag = 'v3'", "no entry tells that team/image:v77 was"),
        (
            "UPDATE tags SET digest = (SELECT digest FROM tags WHERE tag = 'v1') WHERE tag = 'v3'",
            "no entry tells that team/image:v3 was",
        ),
        ("INSERT INTO audit SELECT 0, at, action, actor, repository, digest, decision, content, detail, previous,"
         " hash FROM audit WHERE sequence = 4", "entry 0 has a number below 1"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_log_tells_of_is_held_against_it(log, change, found):
    def change_it(session: Session) -> None:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        session.execute(text(change))

    assert any(found in str(each) for each in log.after(change_it).problems)
