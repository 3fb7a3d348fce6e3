"""JSON as evidence needs it (RFC 8259 and I-JSON, RFC 7493): one reading only, of bounded size and depth.

Two programs that read the same bytes must see the same values. So: UTF-8 without byte order mark, no key
twice in an object, no NaN or infinity, no half of a surrogate pair.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from compliance.errors import InvalidInput

MAX_BYTES: Final = 64 << 20
MAX_DEPTH: Final = 100

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_object(raw: bytes, what: str, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in `raw`; `what` names it in messages. Raises InvalidInput for anything else."""
    data = parse_value(raw, what, max_bytes=max_bytes)
    if not isinstance(data, dict):
        raise InvalidInput(f"{what} is not a JSON object")
    return data


def parse_value(raw: bytes, what: str, *, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON value in `raw`, of any type. Raises InvalidInput where readers might differ."""
    if len(raw) > max_bytes:
        raise InvalidInput(f"{what} is larger than {max_bytes:,} bytes")
    try:
        data = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_twins,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        if _SURROGATE.search(raw):
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not valid JSON: {error}") from error
    if _is_deeper(data, MAX_DEPTH):
        raise InvalidInput(f"{what} is nested deeper than {MAX_DEPTH} levels")
    return data


def validated(data: object, model: type[ModelT], what: str, *, context: object = None) -> ModelT:
    """`data`, by the names it has on the wire, as `model`. `context` is for the model's validators.

    Raises InvalidInput that names the first member that does not fit.
    """
    try:
        return model.model_validate(data, by_alias=True, by_name=False, context=context)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"not a valid {what}: {place + ': ' if place else ''}{message}") from error


def canonical(data: object) -> bytes:
    """One spelling for equal data: keys sorted, no white space, UTF-8. Raises InvalidInput where there is none."""
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"cannot be written as JSON: {error}") from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _is_deeper(data: Any, limit: int) -> bool:
    level = [data] if isinstance(data, (dict, list)) else []
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
