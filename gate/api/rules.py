"""The rules in force: policies, and the waivers that count today with what they excuse."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from fastapi import APIRouter

from compliance.errors import InvalidInput
from compliance.policy.model import Policy, PolicySet, Reach, Waiver
from compliance.policy.pattern import PackagePattern, matches
from compliance.policy.waivers import counts_on
from gate.api.models import Excused, Policies, PolicyInForce, RuleInForce, WaiverInForce, Waivers
from gate.api.view import TheView, View
from gate.contents import Waived
from gate.errors import Code, Fault

router = APIRouter(prefix="/api", tags=["rules"])

MOST_EXCUSED: Final = 200
"""Of each waiver; one that excuses more is too wide to read in one answer anyway."""


@router.get("/policies", summary="The policies in force")
async def read_policies(view: TheView) -> Policies:
    """As the gate has read them; `/readyz` says when what is on disk could not be read since."""
    policies, now = await _in_force(view), view.service.now()
    return Policies(digest=policies.digest, policies=tuple(_policy(policy, now) for policy in policies.policies))


@router.get("/waivers", summary="The waivers in force")
async def read_waivers(view: TheView) -> Waivers:
    """Those that count today, with the days that are left and what they excuse now."""
    policies, today, visible = await _in_force(view), view.service.now().date(), await view.visible()
    answers = []
    for waiver in _counting(policies, today, visible):
        excused = await asyncio.to_thread(
            view.service.store.contents.waived, visible, waiver.file, limit=MOST_EXCUSED
        )
        answers.append(_waiver(waiver, today, excused))
    return Waivers(policies=policies.digest, waivers=tuple(answers))


async def first_to_end(view: View, within: timedelta) -> Sequence[WaiverInForce]:
    """The waivers that count today and will not for long, without what they excuse."""
    policies, today = await _in_force(view), view.service.now().date()
    counting = _counting(policies, today, await view.visible())
    return [_waiver(one, today, ()) for one in counting if one.expires - today <= within]


def _counting(policies: PolicySet, today: date, visible: Collection[str] | None) -> Sequence[Waiver]:
    """Those that count today and concern what may be seen, those that end first before the others."""
    return sorted(
        (one for one in policies.waivers if counts_on(one, today) and _concerns(one, visible)),
        key=lambda one: (one.expires, one.file),
    )


def _concerns(waiver: Waiver, visible: Collection[str] | None) -> bool:
    """Whether a waiver is for every repository, or for one of those that may be seen."""
    patterns = waiver.scope.repositories
    if visible is None or not patterns:
        return True
    return any(matches(pattern, repository) for pattern in patterns for repository in visible)


async def _in_force(view: View) -> PolicySet:
    try:
        return await asyncio.to_thread(view.service.rulebook.policies)
    except InvalidInput as error:
        raise Fault(503, Code.UNAVAILABLE, f"the policies cannot be read: {error.message}") from error


def _policy(policy: Policy, now: datetime) -> PolicyInForce:
    reach = policy.reach or Reach()
    return PolicyInForce(
        name=policy.name,
        file=policy.file,
        mode=policy.mode,
        extends=policy.extends,
        stages=reach.stages,
        repositories=reach.repositories,
        exceptions=reach.exceptions,
        rules=tuple(
            RuleInForce(
                id=rule.id,
                check=rule.check.name,
                effect=rule.effect_at(now),
                enforce_from=rule.enforce_from,
                why=rule.why,
                fix=rule.fix,
                waivable=rule.waivable,
            )
            for rule in policy.rules
        ),
    )


def _waiver(waiver: Waiver, today: date, excused: Sequence[Waived]) -> WaiverInForce:
    return WaiverInForce(
        file=waiver.file,
        rule=waiver.rule,
        owner=waiver.owner,
        reason=waiver.reason,
        created=waiver.created,
        expires=waiver.expires,
        days_left=(waiver.expires - today).days,
        vulnerability=waiver.vulnerability,
        package=None if waiver.package is None else _as_written(waiver.package),
        path=waiver.path,
        key=waiver.key,
        repositories=waiver.scope.repositories,
        approved_by=tuple(approval.by for approval in waiver.approvals),
        excuses=tuple(map(Excused.model_validate, excused)),
    )


def _as_written(pattern: PackagePattern) -> str:
    if pattern.type is None:
        return pattern.name
    place = "/".join(part for part in (pattern.type, pattern.namespace, pattern.name) if part)
    return f"pkg:{place}" + (f"@{pattern.version}" if pattern.version else "")
