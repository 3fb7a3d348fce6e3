"""What leaves no room for the release that is needed: from the lock, else from uv's explanation, made short."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.dependencies import required
from builder.fix.requirement_texts import Bound, pinned_version
from builder.lockfile import LockedWheel, LockFile
from builder.metadata import WheelMetadata
from builder.requirements import Asked, canonical

_CONCLUSION: Final = re.compile(r",? we can conclude that .*?(?:\.(?=\s|$)|\Z)", re.DOTALL)
_START: Final = re.compile(r"\b(?:And because|Because|And) |\n\s*\n")
_HEAD: Final = re.compile(r"^.*?\bcause:", re.DOTALL)
_LONGEST: Final = 300
_SHOWN: Final = 3


def obstacles(
    name: str, bound: Bound, lock: LockFile, metadata: Mapping[str, WheelMetadata], asked: Sequence[Asked]
) -> str | None:
    """What of the lock, and of what was asked for, allows no release of `name` within `bound`.

    `metadata` is that of the packages in the lock that depend on it, by name. None where nothing is found that
    is in the way by itself.
    """
    reasons = [
        f"you require {one.text}{_place(one)}"
        for one in asked
        if one.name == name and _shuts_out(one.requirement, bound) and pinned_version(one.requirement) is None
    ]
    for part in lock.each:
        environment = cast("dict[str, str]", dict(part.pins.target.markers))
        for wheel in part.wheels:
            known = metadata.get(wheel.name)
            for one in required(wheel.name, "", known, environment) if known is not None else ():
                if canonicalize_name(one.name) == name and _shuts_out(one, bound):
                    reasons.append(_required_by(wheel, one, asked))
    distinct = sorted(set(reasons), key=lambda reason: (not reason.startswith("you "), reason))
    return "; ".join(distinct[:_SHOWN]) or None


def _required_by(wheel: LockedWheel, requirement: Requirement, asked: Sequence[Asked]) -> str:
    without_marker = Requirement(str(requirement).partition(";")[0])
    text = f"{wheel.name} {wheel.version} requires {canonical(without_marker)}"
    root = wheel.chain[0] if wheel.chain else wheel.name
    brought = next((one for one in asked if one.name == root), None)
    if brought is None or pinned_version(brought.requirement) is None or root != wheel.name:
        text += ", no other release of it fits"
    return f"{text}, and you require {brought.text}{_place(brought)}" if brought is not None else text


def _shuts_out(requirement: Requirement, bound: Bound) -> bool:
    """Whether the requirement by itself allows no release within the bound, as far as that is plain to see."""
    try:
        version = Version(bound.version)
        if bound.operator == "!=":
            return any(one.operator == "==" and one.version == bound.version for one in requirement.specifier)
        return any(
            one.operator in {"<", "<=", "==", "~="}
            and not one.contains(bound.version, prereleases=True)
            and Version(one.version.removesuffix(".*")) <= version
            for one in requirement.specifier
        )
    except InvalidVersion:
        return False


def _place(asked: Asked) -> str:
    return f" ({asked.at.path.name}:{asked.at.line})" if asked.at.line else ""


def shortened(message: str, asked: Sequence[Asked] = ()) -> str:
    """The reasons in uv's message and where the requirements among them are written.

    uv gives the same reasons in another order from run to run, so they are sorted: what you require last.
    """
    text = _HEAD.sub("", message.partition(":\n")[2] or message)
    premises = {" ".join(one.split()).strip(" ,.") for one in _premises(text)} - {""}
    ordered = sorted(premises, key=lambda one: (one.startswith("you require "), one))
    short = ", and ".join(ordered) or " ".join(text.split())
    if len(short) > _LONGEST:
        short = short[: _LONGEST - 1] + "…"
    places = [f"{one.at.path.name}:{one.at.line}" for one in asked if one.at.line and _names(short, one)]
    return f"{short} ({', '.join(dict.fromkeys(places))})" if places else short


def _premises(text: str) -> Iterator[str]:
    for clause in _START.split(_CONCLUSION.sub(" ", text)):
        yield from re.split(r",? and (?=you require |all versions of |only )", clause)


def _names(reason: str, asked: Asked) -> bool:
    """Whether the reason says that this is required."""
    required = reason.partition("you require ")[2]
    return re.search(rf"(?<![\w.-]){re.escape(asked.name)}(?![\w.-])", required) is not None
