"""Canonical JSON of the frozen dataclasses: the bytes that digests of evidence and decisions are made of.

Members are sorted, nothing is indented, text is ASCII with escapes, times are UTC in ISO 8601. A member at
its default is left out, so a field added later with a default changes no digest that was taken before.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

T = TypeVar("T")

_ADAPTERS: Final[dict[type, TypeAdapter[Any]]] = {}


def canonical_json(value: Any) -> bytes:
    """The canonical bytes of a dataclass of this project. Equal values give equal bytes.

    Raises TypeError for anything that is not built of dataclasses, tuples, text, numbers, times and None.
    """
    return _dump(_plain(value))


def _dump(data: Any, *, sort: bool = False) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=sort, allow_nan=False).encode("ascii")


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
        faithful = _dump(_plain(value)) == _dump(data, sort=True)
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


def _plain(value: Any) -> Any:
    kind = type(value)
    write = _WRITERS.get(kind)
    if write is None:
        write = _WRITERS[kind] = _writer(kind)
    return write(value)


def _writer(kind: type[Any]) -> Callable[[Any], Any]:
    """What turns a value of a dataclass or an enumeration into JSON data."""
    if issubclass(kind, Enum):
        return attrgetter("value")
    if dataclasses.is_dataclass(kind):
        members = [(field.name, attrgetter(field.name), field.default) for field in dataclasses.fields(kind)]
        return functools.partial(_object, sorted(members))
    raise TypeError(f"{kind.__name__} has no canonical form")


def _object(members: list[tuple[str, Callable[[Any], Any], Any]], value: Any) -> dict[str, Any]:
    result = {}
    for name, get, default in members:
        item = get(value)
        if item is not default and item != default:
            result[name] = item if type(item) is str else _plain(item)
    return result


def _as_is(value: Any) -> Any:
    return value


def in_utc(value: datetime) -> datetime:
    """The same instant in UTC, which is meant where none is given. The ends of the calendar stay as they are."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return value


_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    str: _as_is,
    type(None): _as_is,
    int: _as_is,
    bool: _as_is,
    Digest: str,
    tuple: lambda value: [_plain(item) for item in value],
    datetime: lambda value: in_utc(value).isoformat(),
}
