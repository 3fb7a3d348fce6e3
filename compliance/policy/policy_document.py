"""The policy that one YAML file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compliance.document import Document, Key, nearest, to_model
from compliance.errors import InvalidInput
from compliance.policy.all_checks import checks
from compliance.policy.check import Parameters
from compliance.policy.file_models import PolicyFile, RuleEntry
from compliance.policy.model import Later, Policy, Reach, Rule, RuleLater
from compliance.policy.vex import VexTrust


def parse_policy(document: Document) -> Policy:
    """The policy a file holds, by itself. Raises InvalidInput, with the line."""
    file = to_model(document, PolicyFile)
    rules = tuple(_rule(document, place, entry) for place, entry in enumerate(file.rules))
    reach = None
    if file.applies_to is not None:
        named = file.applies_to
        reach = Reach(stages=named.stages, repositories=named.repositories, exceptions=named.except_)
    return Policy(
        name=file.name,
        file=document.path.name,
        rules=rules,
        extends=file.extends,
        reach=reach,
        waiver_days=file.waivers.max_days,
        mode=file.mode,
        waiver_approvals=file.waivers.approvals,
        waiver_justified=file.waivers.justification,
        vex=VexTrust(file.vex.authors, file.vex.max_days) if file.vex is not None else VexTrust(),
        later=Later(file.later.pullable_days, file.later.at_once) if file.later is not None else None,
    )


def _rule(document: Document, place: int, entry: RuleEntry) -> Rule:
    check = checks().get(entry.check)
    if check is None:
        raise unknown("check", entry.check, checks(), document, ("rules", place, "check"))
    return Rule(
        id=entry.id,
        check=check,
        parameters=_parameters(document, place, check.parameters),
        effect=entry.effect,
        why=entry.why,
        fix=entry.fix,
        enforce_from=entry.enforce_from,
        waivable=entry.waivable,
        later=RuleLater(entry.later.pullable_days, entry.later.counts),
    )


def _parameters(document: Document, place: int, model: type[Parameters]) -> Parameters:
    written = document.data["rules"][place]
    if "with" in written:
        return to_model(document, model, ("rules", place, "with"))
    here = document.where(("rules", place))
    return to_model(replace(document, data={}, lines={(): here.line or 1}), model)


def unknown(
    kind: str, name: str, known: Mapping[str, object], document: Document, at: tuple[Key, ...]
) -> InvalidInput:
    """The error for a name that there is not, with the nearest one that there is."""
    near = nearest(name, known)
    hint = f", did you mean {near!r}?" if near else ""
    listed = f"Known: {', '.join(known)}." if known else None
    return InvalidInput(f"unknown {kind} {name!r}{hint}", at=document.where(at), remedy=listed)
