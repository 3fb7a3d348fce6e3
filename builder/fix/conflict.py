"""uv's explanation of a conflict, made short: which requirement leaves no room for the release that is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from builder.requirements import Asked

_CLAUSES: Final = re.compile(r",? we can conclude that |\bAnd because |\bBecause |\n\s*\n")
_HEAD: Final = re.compile(r"^.*?\bcause:", re.DOTALL)
_LONGEST: Final = 300


def shortened(message: str, asked: Sequence[Asked] = ()) -> str:
    """The first reason in uv's message, with the requirement that it ends at and where that is written."""
    text = _HEAD.sub("", message.partition(":\n")[2] or message)
    premises = (" ".join(one.split()).strip(" ,.") for one in _CLAUSES.split(text))
    reasons = [one for one in premises if one]
    short = reasons[0] if reasons else " ".join(text.split())
    required = next((one for one in reversed(reasons) if one.startswith("you require ")), None)
    if required is not None and "you require " not in short:
        short = f"{short}, and {required}"
    if len(short) > _LONGEST:
        short = short[: _LONGEST - 1] + "…"
    places = [f"{one.at.path.name}:{one.at.line}" for one in asked if one.at.line and _names(short, one)]
    return f"{short} ({', '.join(dict.fromkeys(places))})" if places else short


def _names(reason: str, asked: Asked) -> bool:
    """Whether the reason says that this is required."""
    required = reason.partition("you require ")[2]
    return re.search(rf"(?<![\w.-]){re.escape(asked.name)}(?![\w.-])", required) is not None
