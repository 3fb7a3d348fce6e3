"""Decisions as pushes and later looks leave them in a store, without the images."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from compliance.evidence import Absent, Evidence, Subject
from compliance.inventory import Settings
from compliance.oci.digest import Digest
from compliance.policy.canonical import digest_of
from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status, Verdict, Violation
from gate.audit.entry import decided, denied_later
from gate.decision_record import record_of
from gate.own_rules import unexamined
from gate.schema import StoredDecision
from gate.store import Store

RULES = Digest.of(b"rules")


def waiver_until(day: date) -> str:
    """The file of a waiver that expires then."""
    return f"""\
rule: no-known-critical
vulnerability: CVE-2026-0001
owner: vision@example.com
reason: It is not reached.
created: {day - timedelta(days=30)}
expires: {day}
"""


def recorded(
    store: Store,
    at: datetime,
    repository: str,
    *,
    keys: tuple[str, ...] = ("CVE-2026-0001",),
    tag: str | None = None,
    owner: str | None = None,
    until: timedelta | None = None,
    again: bool = False,
    audited: bool = False,
    waived: str | None = None,
) -> StoredDecision:
    """A decision on the image of a repository, with the entries of the audit log that belong to it.

    It refuses for `keys`. With `until` it is a later one that leaves the image that long; with `again` it is a
    later one by which the image complies.
    """
    keys = () if again else keys
    found = tuple(Violation(f"pkg:pypi/{repository}", key, f"{key} in it", remedy="Raise it.") for key in keys)
    if waived is not None:
        found = (Violation("pkg:pypi/a", "CVE-2026-0001", "it is waived", waiver=waived),)
    status = Status.DENIED if keys else Status.WAIVED if waived else Status.PASSED
    outcome = RuleOutcome(
        "any", "no-known-critical", "vulnerabilities", Effect.DENY, status, "It is known.", "Raise it.", found
    )
    digest = Digest.of(repository.encode())
    labels = () if owner is None else (("org.opencontainers.image.authors", owner),)
    evidence: Evidence = replace(
        unexamined(Subject(repository, digest=digest), Absent("a test has none")),
        settings=Settings("1", (), (), (), (), labels, ""),
    )
    decision = Decision(
        verdict=Verdict.REFUSED if keys else Verdict.ADMITTED,
        subject=Subject(repository, digest=digest),
        at=at,
        policies=("any",),
        policy_digest=RULES,
        evidence_digest=digest_of(evidence),
        databases=(),
        notes=(),
        outcomes=(outcome,),
        mode=Mode.AUDIT if audited else Mode.ENFORCE,
        later=until is not None or again,
    )
    later = decision.later
    stored = record_of(
        (repository, digest), decision, evidence, RULES, user="" if later else "ci", tag=tag, later=later
    )
    with store.database.writing() as session:
        session.add(stored)
        session.flush()
        store.audit.append(session, decided(stored))
        if until is not None:
            store.audit.append(session, denied_later(stored, at + until))
    return stored
