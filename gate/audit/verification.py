"""Finding what was changed in an audit log, in what it tells of, and where.

1. Entries are numbered from 1 without a gap.
2. Each hashes to what is stored with it, and names the hash of the one before.
3. The decision that an entry tells of is stored as it was.
4. The entries that checkpoints were signed over are there, and are still the same.
5. Every decision, readable manifest and tag is told of by an entry; a manifest has the digest that names it.

Without a checkpoint, nothing shows that the last entries were taken away, or all from one on were hashed anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import String, exists, select, type_coerce
from sqlalchemy.orm import Session

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from gate.audit.checkpoints import Checkpoint
from gate.audit.entry import AT_A_TIME, Action, Head, StoredEntry, chained, fingerprint, in_chunks
from gate.database import Database
from gate.schema import StoredDecision, StoredManifest, StoredTag


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was changed. `sequence` is the entry it is found at, None where it is in no entry."""

    sequence: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.sequence is None else f"entry {self.sequence} {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `covered` is the last entry that a checkpoint vouches for, 0 for none."""

    head: Head
    problems: tuple[Problem, ...]
    covered: int = 0


def verify(database: Database, checkpoints: Iterable[Checkpoint] = ()) -> Report:
    """Everything that does not hold, in the order of the entries. Raises Unavailable."""
    wanted = sorted(checkpoints, key=lambda each: (each.sequence, each.at))
    signed = {each.sequence for each in wanted}
    hashes: dict[int, str] = {}
    last = Head()
    problems: list[Problem] = []
    with database.reading() as session:
        for entries in in_chunks(session):
            problems += (Problem(*found) for found in chained(last, entries))
            problems += _of_decisions(session, entries)
            hashes.update((each.sequence, each.hash) for each in entries if each.sequence in signed)
            last = entries[-1].head
        problems += _of_checkpoints(wanted, hashes, last)
        problems += _of_untold(session)
        problems += _of_contents(session)
    problems.sort(key=lambda each: (each.sequence is None, each.sequence or 0))
    held = (each.sequence for each in wanted if hashes.get(each.sequence) == each.hash)
    return Report(last, tuple(problems), max(held, default=0))


def _of_decisions(session: Session, entries: Sequence[StoredEntry]) -> Iterator[Problem]:
    """Step 3."""
    telling = [entry for entry in entries if entry.content is not None and entry.decision is not None]
    stored = dict(_fingerprints(session, {entry.decision or "" for entry in telling})) if telling else {}
    for entry in telling:
        found = stored.get(entry.decision or "")
        if found is None:
            yield Problem(entry.sequence, f"tells of the decision {entry.decision}, which is missing")
        elif found != entry.content:
            yield Problem(entry.sequence, f"tells of the decision {entry.decision}, which was changed since")


def _fingerprints(session: Session, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """Id and fingerprint of those decisions that are there; of one that cannot be read, what is wrong with it."""
    try:
        yield from [
            (each.id, fingerprint(each))
            for each in session.scalars(select(StoredDecision).where(StoredDecision.id.in_(ids)))
        ]
    except (InvalidInput, ValueError, TypeError) as error:
        if len(ids) == 1:
            yield from ((id_, f"unreadable: {error}") for id_ in ids)
            return
        for id_ in ids:
            yield from _fingerprints(session, {id_})


def _of_checkpoints(checkpoints: Sequence[Checkpoint], hashes: Mapping[int, str], last: Head) -> Iterator[Problem]:
    """Step 4."""
    good = 0
    for each in checkpoints:
        signed = f"the checkpoint that {each.key!r} signed at {each.at.isoformat(timespec='seconds')}"
        if each.sequence > last.sequence:
            yield Problem(
                last.sequence + 1, f"is missing, with all up to entry {each.sequence}, which {signed} is over"
            )
        elif hashes.get(each.sequence) != each.hash:
            yield Problem(
                each.sequence,
                f"is not the one that {signed} is over: entries {good + 1} to {each.sequence} were changed",
            )
        else:
            good = each.sequence


def _of_untold(session: Session) -> Iterator[Problem]:
    """Step 5, what exists."""
    decided = exists().where(StoredEntry.action == Action.DECIDED, StoredEntry.decision == StoredDecision.id)
    for id_ in session.scalars(select(StoredDecision.id).where(~decided)):
        yield Problem(None, f"no entry tells of the decision {id_}")
    manifest, tag = StoredManifest, StoredTag
    published = exists().where(
        StoredEntry.action == Action.PUBLISHED,
        StoredEntry.repository == manifest.repository,
        StoredEntry.digest == manifest.digest,
    )
    digest = type_coerce(manifest.digest, String)
    for repository, found in session.execute(select(manifest.repository, digest).where(~published)):
        yield Problem(None, f"no entry tells that {repository}@{found} was published")
    tagged = exists().where(
        StoredEntry.action == Action.PUBLISHED,
        StoredEntry.repository == tag.repository,
        StoredEntry.digest == tag.digest,
        StoredEntry.detail == tag.tag,
    )
    digest = type_coerce(tag.digest, String)
    for repository, name, found in session.execute(select(tag.repository, tag.tag, digest).where(~tagged)):
        yield Problem(None, f"no entry tells that {repository}:{name} was {found}")


def _of_contents(session: Session) -> Iterator[Problem]:
    """Step 5, what readers are given."""
    digest = type_coerce(StoredManifest.digest, String)
    query = select(StoredManifest.repository, digest, StoredManifest.raw)
    for repository, named, raw in session.execute(query.execution_options(yield_per=AT_A_TIME)):
        try:
            told = Digest(named)
        except InvalidInput as error:
            yield Problem(None, f"a manifest of {repository} has an impossible name: {error.message}")
        else:
            if Digest.of(raw, told.algorithm) != told:
                yield Problem(None, f"{repository}@{named} has other content than its digest says")
