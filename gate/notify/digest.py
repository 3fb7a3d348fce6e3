"""What happened in a while and what comes up, for people who look after images: the content of a digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select

from compliance.bases import BaseDefinition
from compliance.oci.digest import Digest
from compliance.policy.decision import Mode, Verdict
from compliance.policy.model import Waiver
from gate.database import Database
from gate.schema import StoredDecision, StoredManifest
from gate.standings import StoredStanding, in_force

AUDITED: Final = "audited"
"""What was not admitted by its verdict, and let in since nothing is blocked there."""

MOST = 1000
"""Rows of each kind that are read."""

WAIVER_DAYS = 30
BASE_DAYS = 90


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Refused(_Part):
    """Pushes to one repository that were refused, and the last of them."""

    repository: str
    total: int
    decision: str
    line: str
    at: datetime


class Ending(_Part):
    """An image that no longer complies, and until when it may be pulled."""

    repository: str
    digest: Digest
    until: datetime
    decision: str
    line: str


class Expiring(_Part):
    """A waiver that expires soon, or did lately."""

    waiver: str
    owner: str
    expires: date


class Aging(_Part):
    """A base near or past its end of life."""

    base: str
    owner: str
    end_of_life: date


class DigestReport(_Part):
    """All of it."""

    since: datetime
    until: datetime
    pushes: dict[str, int] = Field(
        description="How many were judged, by verdict; audited: not admitted by it, but let in by audit only."
    )
    refused: tuple[Refused, ...] = Field(description="Most often refused first.")
    ending: tuple[Ending, ...] = Field(description="What ends first comes first.")
    denied: tuple[Ending, ...] = Field(description="What ended in that time.")
    waivers: tuple[Expiring, ...]
    bases: tuple[Aging, ...]


def digest_report(
    database: Database,
    waivers: Sequence[Waiver],
    bases: Sequence[BaseDefinition],
    *,
    since: datetime,
    until: datetime,
    covers: Callable[[str], bool] = lambda _: True,
) -> DigestReport:
    """What happened from `since` to `until`, and what is known then, in the repositories that `covers` names."""
    day = until.astimezone(UTC).date()
    pushes, refused = _pushes(database, since, until, covers)
    standing = _standing(database, since, covers)
    return DigestReport(
        since=since,
        until=until,
        pushes=pushes,
        refused=refused,
        ending=tuple(one for one in standing if one.until > until),
        denied=tuple(one for one in standing if one.until <= until),
        waivers=tuple(
            Expiring(waiver=one.file, owner=one.owner, expires=one.expires)
            for one in sorted(waivers, key=lambda one: (one.expires, one.file))
            if since.astimezone(UTC).date() <= one.expires and (one.expires - day).days <= WAIVER_DAYS
        ),
        bases=tuple(
            Aging(base=one.name, owner=one.base.owner, end_of_life=one.end_of_life.date())
            for one in {each.name: each for each in bases}.values()
            if (one.end_of_life.date() - day).days <= BASE_DAYS
        ),
    )


def _pushes(
    database: Database, since: datetime, until: datetime, covers: Callable[[str], bool]
) -> tuple[dict[str, int], tuple[Refused, ...]]:
    decision = StoredDecision
    query = (
        select(decision.repository, decision.verdict, decision.mode, func.count(), func.max(decision.at))
        .where(decision.at >= since, decision.at < until, ~decision.later)
        .group_by(decision.repository, decision.verdict, decision.mode)
    )
    pushes: dict[str, int] = dict.fromkeys((*(verdict.value for verdict in Verdict), AUDITED), 0)
    found: list[Refused] = []
    with database.reading() as session:
        for repository, verdict, mode, total, newest in session.execute(query):
            if not covers(repository):
                continue
            audited = verdict is not Verdict.ADMITTED and mode is Mode.AUDIT
            pushes[AUDITED if audited else verdict.value] += total
            if verdict is Verdict.ADMITTED or audited:
                continue
            last = session.execute(
                select(decision.id, decision.line)
                .where(decision.repository == repository, decision.at == newest)
                .where(decision.verdict == verdict, decision.mode == mode)
                .limit(1)
            ).one()
            found.append(Refused(repository=repository, total=total, decision=last.id, line=last.line, at=newest))
    return pushes, tuple(sorted(found, key=lambda one: (-one.total, one.repository, one.at)))


def _standing(database: Database, since: datetime, covers: Callable[[str], bool]) -> Sequence[Ending]:
    """What no longer complies and had not ended before."""
    standing, decision = StoredStanding, StoredDecision
    query = (
        select(standing.repository, standing.digest, standing.until, decision.id, decision.line)
        .join(StoredManifest, in_force())
        .join(decision, decision.id == standing.decision)
        .where(standing.until >= since)
        .order_by(standing.until, standing.repository, standing.digest)
        .limit(MOST)
    )
    with database.reading() as session:
        return [
            Ending(repository=repository, digest=digest, until=end, decision=id_, line=line)
            for repository, digest, end, id_, line in session.execute(query)
            if end is not None and covers(repository)
        ]
