"""The waiver that one YAML file holds, and whether the policy of its rule allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from compliance.document import Document, to_model
from compliance.errors import InvalidInput
from compliance.policy.check import Selector
from compliance.policy.file_models import WaiverFile
from compliance.policy.model import Approval, Policy, Rule, Scope, Waiver
from compliance.policy.pattern import PackagePattern
from compliance.policy.policy_document import unknown
from compliance.policy.vex import Justification

WAIVERS: Final = "waivers"
"""The folder of waivers in a directory of policies."""


def parse_waiver(document: Document, rules: Mapping[str, tuple[Policy, Rule]]) -> Waiver:
    """The waiver a file holds, held against the rule it is for. Raises InvalidInput, with the line."""
    file = to_model(document, WaiverFile)
    found = rules.get(file.rule)
    if found is None:
        raise unknown("rule", file.rule, rules, document, ("rule",))
    policy, rule = found
    if not rule.waivable:
        raise InvalidInput(f"rule {rule.id!r} cannot be waived", at=document.where(("rule",)))
    days = (file.expires - file.created).days
    if days > policy.waiver_days:
        raise InvalidInput(
            f"runs {days} days, policy {policy.name!r} allows {policy.waiver_days}",
            at=document.where(("expires",)),
            remedy="Choose an earlier date; a waiver can be renewed in a reviewed change.",
        )
    _refuse_unapproved(file, policy, document)
    _refuse_unfit_selector(file, rule, document)
    return Waiver(
        file=f"{WAIVERS}/{document.path.name}",
        rule=file.rule,
        owner=file.owner,
        reason=file.reason,
        created=file.created,
        expires=file.expires,
        scope=Scope(file.scope.repositories, file.scope.digests, file.scope.stages),
        vulnerability=file.vulnerability,
        package=PackagePattern.parse(file.package) if file.package is not None else None,
        path=file.path,
        key=file.key,
        justification=file.justification,
        approvals=tuple(Approval(one.by, one.day) for one in file.approvals),
    )


def _refuse_unapproved(file: WaiverFile, policy: Policy, document: Document) -> None:
    agreed = {one.by.casefold() for one in file.approvals} - {file.owner.casefold()}
    if len(agreed) < policy.waiver_approvals:
        raise InvalidInput(
            f"is approved by {len(agreed)}, policy {policy.name!r} demands {policy.waiver_approvals}",
            at=document.where(("approvals",)),
            remedy="Approvals count once a person, and the owner's own does not.",
        )
    late = next((place for place, one in enumerate(file.approvals) if one.day > file.expires), None)
    if late is not None:
        raise InvalidInput("approved after it expires", at=document.where(("approvals", late, "day")))
    if policy.waiver_justified and file.justification is None:
        raise InvalidInput(
            f"gives no justification, which policy {policy.name!r} demands",
            at=document.where(()),
            remedy=f"Add `justification:` with one of {', '.join(Justification)}.",
        )


def _refuse_unfit_selector(file: WaiverFile, rule: Rule, document: Document) -> None:
    for selector in Selector:
        if getattr(file, selector.value) is not None and selector not in rule.check.waived_by:
            fitting = " or ".join(sorted(rule.check.waived_by))
            raise InvalidInput(
                f"rule {rule.id!r} ({rule.check.name}) is waived by {fitting}, not by {selector}",
                at=document.where((selector.value,)),
            )
