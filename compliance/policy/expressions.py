"""Expressions in CEL (the Common Expression Language, https://cel.dev) over the evidence.

An expression ends always, and soon: CEL has no loops but over what is there, an evaluation may take 10,000
steps of a macro, and length and number of macros are bounded. Names are checked when a policy is read.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

from compliance.evidence import Absent, Evidence, LockedPackage, Vulnerability
from compliance.instants import in_utc
from compliance.inventory import Base, Inventory, Package, Settings
from compliance.policy.vocabulary import ITEM, VARIABLES, Variable

MAX_LENGTH: Final = 600
MAX_MACROS: Final = 4

_TEXT: Final = re.compile(r"""[rRbB]{0,2}("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_MACRO: Final = re.compile(r"(?P<over>\w+)?\s*\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(?P<name>\w+)\s*,")
_MEMBER: Final = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_]\w*)\s*\.\s*(?P<member>[A-Za-z_]\w*)(?!\w|\s*\()")
_WORD: Final = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_NAME: Final = re.compile(_WORD.pattern + r"(?!\w|\s*\()")
_OF_CEL: Final = frozenset(
    {
        *("true", "false", "null", "in"),
        *("bool", "bytes", "double", "int", "uint", "string", "list", "map", "type", "null_type"),
    }
)
"""What CEL itself gives a meaning to where a name may stand."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `uses` are the variables it names; `over` is what `item` is one of, if anything."""

    text: str
    program: Any
    uses: tuple[str, ...]
    over: str | None


@functools.lru_cache(maxsize=1 << 10)
def compile_expression(text: str, over: str | None = None) -> Expression:
    """Read an expression that is true of what is good. Raises ValueError that says what is wrong with it.

    `over` names a list of the evidence; the expression is then about one `item` of it.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters: make several rules of it")
    code = _TEXT.sub('""', text)
    macros = list(_MACRO.finditer(code))
    if len(re.findall(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(", code)) > MAX_MACROS:
        raise ValueError(f"has more than {MAX_MACROS} of all, exists, filter and map: make several rules of it")
    known = dict(VARIABLES) if over is None else {**VARIABLES, ITEM: VARIABLES[over].one()}
    for problem in _unknown_members(code, macros, known):
        raise ValueError(problem)
    try:
        program = _environment(over is not None).compile(text)
    except RuntimeError as error:
        raise ValueError(_first_line(error) + _hint(code, macros, known)) from error
    kind = program.return_type().name()
    if kind not in ("BOOL", "DYN"):
        raise ValueError(f"gives {kind.lower()}, not true or false")
    words = set(_WORD.findall(code))
    return Expression(text, program, tuple(name for name in VARIABLES if name in words), over)


def _unknown_members(code: str, macros: list[re.Match[str]], known: Mapping[str, Variable]) -> Iterator[str]:
    """Members that no such thing has; a macro's own variable is one of the list before it."""
    bound = {found["name"]: known[found["over"]].one() for found in macros if found["over"] in known}
    hidden = {found["name"] for found in macros} - bound.keys()
    scope = {name: variable for name, variable in {**known, **bound}.items() if name not in hidden}
    for found in _MEMBER.finditer(code):
        variable = scope.get(found["name"])
        if (
            variable is not None
            and variable.members
            and not variable.many
            and found["member"] not in variable.members
        ):
            yield f"{found['name']} has no {found['member']!r}; it has {', '.join(variable.members)}"


def _hint(code: str, macros: list[re.Match[str]], known: Mapping[str, Variable]) -> str:
    """What a name that means nothing may have been meant to be; empty where there is no such name."""
    names = {*known, "now"}
    meant = names | _OF_CEL | {found["name"] for found in macros}
    wrong = next((name for name in _NAME.findall(code) if name not in meant), None)
    if wrong is None:
        return ""
    near = get_close_matches(wrong, sorted(names), n=1)
    return f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(names))}"


def _first_line(error: Exception) -> str:
    """cel's own words, without its code and position prefix."""
    line = str(error).partition("\n")[0]
    return line.removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ").replace("<input>:", "at ")


@functools.cache
def _environment(with_item: bool) -> Any:
    from cel_expr_python import cel

    one = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    types = {name: cel.Type.List(one) if variable.many else one for name, variable in VARIABLES.items()}
    return cel.NewEnv(variables={**types, "now": cel.Type.TIMESTAMP, **({ITEM: one} if with_item else {})})


def is_true(
    expression: Expression, evidence: Evidence, at: datetime, item: Mapping[str, Any] | None = None
) -> bool | Absent:
    """Whether the expression is true of the evidence, or why that cannot be told."""
    data: dict[str, Any] = {"now": in_utc(at)}
    for name in expression.uses:
        value = view(evidence, name)
        if isinstance(value, Absent):
            return value
        data[name] = value
    if item is not None:
        data[ITEM] = item
    try:
        result = expression.program.eval(data=data)
    except RuntimeError as error:
        return Absent(f"the expression {expression.text!r} could not be evaluated: {_first_line(error)}")
    kind, plain = result.type().name(), result.plain_value()
    if kind == "BOOL":
        return bool(plain)
    problem = "could not be evaluated" if kind == "ERROR" else "gives no true or false but"
    return Absent(f"the expression {expression.text!r} {problem}: {plain}")


def view(evidence: Evidence, name: str) -> Any:
    """A variable's value as expressions see it: maps, lists, texts and numbers, times as text; or why not."""
    value = _PARTS[name](evidence)
    return value if isinstance(value, Absent) else _plain(value)


def _of_inventory(get: Callable[[Inventory], Any]) -> Callable[[Evidence], Any]:
    return lambda evidence: (
        evidence.inventory if isinstance(evidence.inventory, Absent) else get(evidence.inventory)
    )


def _of_scan(name: str) -> Callable[[Evidence], Any]:
    def get(evidence: Evidence) -> Any:
        scan = evidence.vulnerabilities
        return scan if isinstance(scan, Absent) else getattr(scan, name)

    return get


_PARTS: Final[dict[str, Callable[[Evidence], Any]]] = {
    "subject": lambda evidence: evidence.subject,
    "base": lambda evidence: evidence.base,
    "os": _of_inventory(lambda inventory: inventory.os or Absent("the operating system is not known")),
    "packages": _of_inventory(lambda inventory: inventory.packages),
    "settings": lambda evidence: evidence.settings,
    "locked": lambda evidence: evidence.lock if isinstance(evidence.lock, Absent) else evidence.lock.packages,
    "vulnerabilities": _of_scan("vulnerabilities"),
    "databases": _of_scan("databases"),
    "secrets": lambda evidence: evidence.secrets,
    "models": lambda evidence: evidence.models,
    "sbom": lambda evidence: evidence.sbom,
    "provenance": lambda evidence: evidence.provenance,
    "layers": lambda evidence: evidence.layers,
    "privileged": lambda evidence: evidence.privileged,
    "build": lambda evidence: evidence.build,
}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return in_utc(value).isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Package | LockedPackage | Vulnerability):
        return _recurring(value)
    if dataclasses.is_dataclass(value):
        return _members(value)
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, str) else value


def _members(value: Any) -> dict[str, Any]:
    members = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Settings):
        members["labels"] = dict(value.labels)
    if isinstance(value, Base):
        del members["diff_ids"]
    return members


_recurring: Final = functools.lru_cache(maxsize=1 << 14)(_members)
"""What is the same in image after image; nobody changes the maps."""
