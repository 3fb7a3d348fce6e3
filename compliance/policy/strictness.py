"""What a changed parameter does to a rule: lets less pass, lets more pass, or neither can be said of it.

Parameters mean the same in every check that has one of their name, so the tables go by name; a check's own
meaning goes before it. What is in neither table is told as a change, and never as stricter or looser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from compliance.evidence import Severity
from compliance.policy.check import AnyCheck, Parameters


class Tone(StrEnum):
    """Whether a change lets less pass, lets more pass, or neither can be said of it."""

    STRICTER = "stricter"  # whatever passes now passed before
    LOOSER = "looser"  # whatever passed before passes now
    CHANGED = "changed"  # some may pass that did not, some may not that did


_OPPOSITE: Final = {Tone.STRICTER: Tone.LOOSER, Tone.LOOSER: Tone.STRICTER, Tone.CHANGED: Tone.CHANGED}

_MORE_IS_STRICTER: Final = frozenset(
    {
        *("days", "within-days", "end-of-life-within-days"),
        *(
            "complete",
            "extra",
            "known",
            "known-only",
            "numeric",
            "refuse-unsafe",
            "required",
            "same-base",
            "same-lock",
        ),
        *("deny", "forbid-names", "forbid-values", "packages"),
        *("ecosystems", "labels", "of", "origins", "privileges", "require", "severities", "unknown"),
    }
)
_MORE_IS_LOOSER: Final = frozenset(
    {
        *(
            "grace-days",
            "max",
            "max-age-days",
            "max-days",
            "max-megabytes",
            "min-cvss",
            "min-epss",
            "min-severity",
        ),
        *("known-exploited", "only-fixable", "shell"),
        *("allow", "builders", "exceptions", "exempt", "keys", "names", "programs"),
    }
)
_UNSAID: Final = frozenset({"each", "expect", "grace-days-by-severity", "grace-from"})
"""Parameters of which no direction can be told from their value."""

_WORDING: Final = frozenset({"message", "remedy"})
"""Parameters that are said to people and decide nothing."""

_NONE_IS_STRICTEST: Final = frozenset({"min-cvss", "min-epss"})
"""Left out, these set no floor, so that everything counts. Left out, any other parameter demands nothing."""

_RANKS: Final[Mapping[str, int]] = {
    **{severity.value: rank for rank, severity in enumerate(Severity)},
    "allow": 0,
    "deny": 1,
}


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """What one parameter's change does, and in words what it is: `grace-days: 30, was 14`."""

    tone: Tone
    text: str


def direction_of(parameter: str) -> Tone | None:
    """What more of a parameter (a larger number, a longer list, true for false) makes of its rule.

    CHANGED where that cannot be said of the parameter, None for one that is not known here.
    """
    if parameter in _MORE_IS_STRICTER:
        return Tone.STRICTER
    if parameter in _MORE_IS_LOOSER:
        return Tone.LOOSER
    return Tone.CHANGED if parameter in _UNSAID | _WORDING else None


def values_of(parameters: Parameters) -> dict[str, Any]:
    """Every parameter as policy files write it, those left out at their default."""
    return parameters.model_dump(mode="json", by_alias=True)


def parameter_changes(check: AnyCheck, old: Parameters, new: Parameters) -> Iterator[ParameterChange]:
    """What changed from `old` to `new`, which are both of `check`, in the order of its parameters."""
    before, after = values_of(old), values_of(new)
    for name in (field.alias or key for key, field in check.parameters.model_fields.items()):
        if before[name] != after[name] and name not in _WORDING:
            yield from _changes(name, before[name], after[name])


def _changes(name: str, old: Any, new: Any) -> Iterator[ParameterChange]:
    more = direction_of(name) or Tone.CHANGED
    if old is None or new is None:
        gone_is = Tone.STRICTER if name in _NONE_IS_STRICTEST else Tone.LOOSER
        tone = more if more is Tone.CHANGED else gone_is if new is None else _OPPOSITE[gone_is]
        yield ParameterChange(tone, _words(name, old, new))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(name, old, new, more)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _table_changes(name, old, new, more)
    else:
        yield ParameterChange(_tone(old, new, more), _words(name, old, new))


def _tone(old: Any, new: Any, more: Tone) -> Tone:
    """What the change of one number, flag or ranked word does."""
    before, after = _rank(old), _rank(new)
    if before is None or after is None:
        return Tone.CHANGED
    return more if after > before else _OPPOSITE[more]


def _rank(value: Any) -> float | None:
    return _RANKS.get(value) if isinstance(value, str) else value if isinstance(value, int | float) else None


def _list_changes(name: str, old: list[Any], new: list[Any], more: Tone) -> Iterator[ParameterChange]:
    added, gone = [one for one in new if one not in old], [one for one in old if one not in new]
    if added:
        yield ParameterChange(more, f"{name}: adds {', '.join(map(flow, added))}")
    if gone:
        yield ParameterChange(_OPPOSITE[more], f"{name}: drops {', '.join(map(flow, gone))}")
    if not added and not gone:
        yield ParameterChange(Tone.CHANGED, f"{name}: in another order or with repetitions")


def _table_changes(name: str, old: dict[str, Any], new: dict[str, Any], more: Tone) -> Iterator[ParameterChange]:
    """A table holds demands by key: each one more asks for more, whatever a larger value would mean."""
    told = more is not Tone.CHANGED
    for key in sorted({*old, *new}):
        place = f"{name}.{key}"
        if key not in old:
            tone = Tone.STRICTER if told else Tone.CHANGED
            yield ParameterChange(tone, f"{place}: {flow(new[key])}, was not set")
        elif key not in new:
            tone = Tone.LOOSER if told else Tone.CHANGED
            yield ParameterChange(tone, f"{place}: not set, was {flow(old[key])}")
        elif old[key] != new[key]:
            yield ParameterChange(_tone(old[key], new[key], more), _words(place, old[key], new[key]))


def _words(name: str, old: Any, new: Any) -> str:
    return f"{name}: {flow(new)}, was {flow(old)}"


def flow(value: Any) -> str:
    """A parameter's value on one line, as people read it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(flow, value)) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {flow(item)}" for key, item in value.items() if item is not None) or "nothing"
    return str(value)
