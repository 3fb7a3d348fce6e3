"""What happened to images, read from the audit log and the decisions that it names.

The log is appended to in the transaction of what it tells of, and its numbers are in the order of commits, so
whoever reads it from a number on misses nothing, whatever was killed when.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from compliance.errors import InvalidInput
from compliance.policy.decision import Decision, Mode, Status, Verdict
from compliance.policy.reports import from_json
from compliance.policy.verdict_change import owner_of
from compliance.policy.wording import printable
from gate.audit.entry import Action, StoredEntry, pullable_until
from gate.decision_record import stored_evidence
from gate.notify.events import AffectedImage, Cause, Topic
from gate.notify.grouping import Found, Notice
from gate.schema import StoredDecision

OWNER: Final = 255
"""Characters of a label that names an owner."""

CAUSES: Final = 100
"""How many causes of one image are looked at."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to an image, and whom its labels name as its owner."""

    topic: Topic
    at: datetime
    notice: Notice
    labelled: str | None

    @property
    def repository(self) -> str:
        return self.notice.image.repository


def happenings(session: Session, after: int, up_to: int, root: str) -> Iterator[tuple[int, Happening]]:
    """What the entries with these numbers tell of, with the number of each. `root` is where pages are read."""
    for entry in session.scalars(_of_interest(after, up_to)).all():
        decision = session.get(StoredDecision, entry.decision)
        if decision is not None:
            try:
                found = _happening(session, entry, decision, root)
            except InvalidInput as error:  # one that was tampered with keeps nobody from the others
                log.error("nobody is told of decision %s: %s", decision.id, error)
                found = None
            session.expunge(decision)  # its evidence may be large
            if found is not None:
                yield entry.sequence, found


def _of_interest(after: int, up_to: int) -> Select[StoredEntry]:
    decision = StoredDecision
    refused = and_(~decision.later, decision.verdict != Verdict.ADMITTED, decision.mode == Mode.ENFORCE)
    again = and_(decision.later, or_(decision.verdict == Verdict.ADMITTED, decision.mode == Mode.AUDIT))
    return (
        select(StoredEntry)
        .join(decision, decision.id == StoredEntry.decision)
        .where(
            StoredEntry.sequence > after,
            StoredEntry.sequence <= up_to,
            or_(
                StoredEntry.action == Action.DENIED_LATER,
                and_(StoredEntry.action == Action.DECIDED, or_(refused, again)),
            ),
        )
        .order_by(StoredEntry.sequence)
    )


def _happening(session: Session, entry: StoredEntry, stored: StoredDecision, root: str) -> Happening | None:
    topic, until = _topic(entry, stored)
    found = _found(from_json(stored.decision))
    if stored.later:
        former = _before(session, stored)
        before = _found(from_json(former.decision)) if former is not None else ()
        found = _news_first(found, before) if topic is not Topic.IMAGE_COMPLIES else before
    if not found:
        log.error("decision %s says no reason, so nobody is told of it", stored.id)
        return None
    image = AffectedImage(
        repository=stored.repository,
        digest=stored.digest,
        tag=stored.tag,
        culprit=found[0].culprit,
        decision=stored.id,
        report=f"{root}/decisions/{stored.id}",
        pullable_until=until,
        pushed_by=stored.user or None,
    )
    return Happening(topic, stored.at, Notice(image=image, found=tuple(found[:CAUSES])), _labelled(stored))


def _topic(entry: StoredEntry, stored: StoredDecision) -> tuple[Topic, datetime | None]:
    if entry.action == Action.DENIED_LATER:
        until = pullable_until(entry)
        return (Topic.IMAGE_DENIED if until <= stored.at else Topic.IMAGE_DEADLINE), until
    return (Topic.IMAGE_COMPLIES if stored.later else Topic.PUSH_REFUSED), None


def _before(session: Session, stored: StoredDecision) -> StoredDecision | None:
    """The later decision before a later decision."""
    query = (
        select(StoredDecision)
        .where(
            StoredDecision.repository == stored.repository,
            StoredDecision.digest == stored.digest,
            StoredDecision.later,
            StoredDecision.at < stored.at,
        )
        .order_by(StoredDecision.at.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def _found(decision: Decision) -> Sequence[Found]:
    """Why something was kept out, in the order of the rules."""
    found = [
        Found(
            cause=Cause(
                rule=outcome.rule,
                check=outcome.check,
                key=one.key,
                message=one.message,
                fix=one.remedy or outcome.fix,
            ),
            culprit=one.culprit,
        )
        for outcome in decision.with_status(Status.DENIED)
        for one in outcome.violations
        if one.waiver is None
    ]
    return found or [
        Found(
            cause=Cause(
                rule=outcome.rule,
                check=outcome.check,
                key=outcome.rule,
                message=outcome.reason or "could not be decided",
                fix=outcome.fix,
            ),
            culprit=str(decision.subject.digest or decision.subject.repository),
        )
        for outcome in decision.with_status(Status.UNDECIDED)
    ]


def _news_first(found: Sequence[Found], before: Sequence[Found]) -> Sequence[Found]:
    """What was not there before; everything, where nothing is new but the time."""
    known = {one.cause.identity for one in before}
    return [one for one in found if one.cause.identity not in known] or found


def _labelled(stored: StoredDecision) -> str | None:
    try:
        owner = owner_of(stored_evidence(stored))
    except InvalidInput as error:
        log.error("whose image it is cannot be told: %s", error)
        return None
    return None if owner is None else printable(owner)[:OWNER]
