"""Canonical JSON of the frozen dataclasses: the bytes that digests of evidence and decisions are made of.

Members are sorted, nothing is indented, text is ASCII with escapes, times are UTC in ISO 8601. A member at
its default is left out, so a field added later with a default changes no digest that was taken before.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from compliance.errors import InvalidInput
from compliance.evidence import LockedPackage, Vulnerability
from compliance.instants import in_utc
from compliance.inventory import Package
from compliance.oci.digest import Digest

T = TypeVar("T")

_ADAPTERS: Final[dict[type, TypeAdapter[Any]]] = {}


def canonical_json(value: Any) -> bytes:
    """The canonical bytes of a dataclass of this project. Equal values give equal bytes.

    Raises TypeError for anything that is not built of dataclasses, tuples, text, numbers, times and None.
    """
    return _written(value).encode("ascii")


def digest_of(value: Any) -> Digest:
    """The sha256 digest of `value`'s canonical bytes."""
    return Digest.of(canonical_json(value))


def from_canonical_json(raw: bytes, kind: type[T]) -> T:
    """The value of dataclass `kind` that `raw` was written from.

    Raises InvalidInput when `raw` is anything but what `canonical_json` writes for such a value, white
    space and the order of members aside.
    """
    name = kind.__name__.lower()
    try:
        data = json.loads(raw)
        value = _adapter(kind).validate_python(data)
        faithful = _written(value) == json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f"not a stored {name}: {_first_problem(error)}") from error
    if not faithful:
        raise InvalidInput(f"not a stored {name}: it holds members or forms that none is written with")
    return value


def _first_problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    return str(error)


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _written(value: Any) -> str:
    kind = type(value)
    write = _WRITERS.get(kind)
    if write is None:
        write = _WRITERS[kind] = _writer(kind)
    return write(value)


def _writer(kind: type[Any]) -> Callable[[Any], str]:
    """What writes a value of a dataclass or an enumeration."""
    if issubclass(kind, Enum):
        return lambda value: _text(value.value)
    if dataclasses.is_dataclass(kind):
        members = sorted(
            (field.name, f"{_text(field.name)}:", attrgetter(field.name), field.default)
            for field in dataclasses.fields(kind)
        )
        write = functools.partial(_object, [member[1:] for member in members])
        return functools.lru_cache(maxsize=_KEPT)(write) if kind in _RECURRING else write
    raise TypeError(f"{kind.__name__} has no canonical form")


def _object(members: list[tuple[str, Callable[[Any], Any], Any]], value: Any) -> str:
    parts = []
    for name, get, default in members:
        item = get(value)
        if item is not default and item != default:
            parts.append(name + _written(item))
    return "{" + ",".join(parts) + "}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no canonical form")
    return repr(int(value)) if value.is_integer() else repr(value)  # 9.0 equals 9, so both are written alike


_text: Final = json.encoder.encode_basestring_ascii

_RECURRING: Final = frozenset({Package, LockedPackage, Vulnerability})
"""What is the same in image after image, so that its text is kept."""

_KEPT: Final = 1 << 16

_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: _text,
    type(None): lambda value: "null",  # noqa: ARG005 - the table's signature
    int: repr,
    bool: lambda value: "true" if value else "false",
    float: _number,
    Digest: _text,
    tuple: lambda value: "[" + ",".join([_written(item) for item in value]) + "]",
    datetime: lambda value: _text(in_utc(value).isoformat()),
}
