"""What is to be said of VEX statements in a decision: those that ended, end soon, or excuse nothing there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from compliance.evidence import Subject
from compliance.policy.all_checks import checks
from compliance.policy.check import Selector
from compliance.policy.decision import RuleOutcome, Status
from compliance.policy.model import Policy, PolicySet
from compliance.policy.vex import VexStatement
from compliance.policy.waivers import EXPIRY_NOTICE_DAYS
from compliance.policy.wording import count


def notes(policies: PolicySet, outcomes: Sequence[RuleOutcome], subject: Subject, at: datetime) -> tuple[str, ...]:
    """What readers of a decision should know of the statements: sorted, each once.

    A statement about packages is about no one image, so it is never unused in one.
    """
    if not policies.vex.statements:
        return ()
    by_name = {policy.name: policy for policy in policies.policies}
    about = [one for one in outcomes if one.policy in by_name and _is_excused_by_vex(one)]
    trusting = {one.policy: by_name[one.policy] for one in about if by_name[one.policy].vex.authors}
    those = [one for one in about if one.policy in trusting]
    said = {note for one in those for note in _by_age(policies, trusting, one, subject, at)}
    decided = all(one.status not in (Status.UNDECIDED, Status.PENDING) for one in about)
    if trusting and decided:
        said.update(_unused(policies, tuple(trusting.values()), about, subject, at))
    return tuple(sorted(said))


def _is_excused_by_vex(outcome: RuleOutcome) -> bool:
    check = checks().get(outcome.check)
    return check is not None and Selector.VULNERABILITY in check.waived_by


def _by_age(
    policies: PolicySet, trusting: dict[str, Policy], outcome: RuleOutcome, subject: Subject, at: datetime
) -> Iterator[str]:
    trust = trusting[outcome.policy].vex
    for violation in outcome.violations:
        newest = policies.vex.newest(violation, trust, subject, at)
        if newest is None or not newest.excuses:
            continue
        left = timedelta(days=trust.days) - (at - newest.made)
        name = f"{_named(newest)} on {violation.key}"
        if left < timedelta() and violation.waiver is None:
            yield f"{name} counts no more after {trust.days} days; what it excused is still there"
        elif violation.waiver == newest.file and left <= timedelta(days=EXPIRY_NOTICE_DAYS):
            yield f"{name} counts for {count(max(left.days, 0), 'more day')}"


def _unused(
    policies: PolicySet,
    trusting: Sequence[Policy],
    outcomes: Sequence[RuleOutcome],
    subject: Subject,
    at: datetime,
) -> Iterator[str]:
    found = [violation for outcome in outcomes for violation in outcome.violations]
    keys = {name for violation in found for name in (violation.key, *violation.aliases)}
    authors = {author for policy in trusting for author in policy.vex.authors}
    for one in policies.vex.statements:
        names_image = any(product.is_image(subject) for product in one.products)
        if names_image and one.excuses and one.author in authors and one.made <= at and keys.isdisjoint(one.names):
            yield f"{_named(one)} on {one.names[0]} excuses nothing here: it can be deleted"


def _named(statement: VexStatement) -> str:
    return f"statement in {statement.file} ({statement.author})"
