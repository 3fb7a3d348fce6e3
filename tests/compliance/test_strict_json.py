"""JSON is read one way or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.strict_json import MAX_DEPTH, canonical, parse_object, parse_value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"a":1,"a":1}', "has a key twice"),
        (b'{"a":[{"b":1,"b":2}]}', "has a key twice"),
        (b'{"a":1,"\\u0061":2}', "has a key twice"),
        (b'{"a":NaN}', "NaN is not a JSON value"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON value"),
        (b'{"a":1e999}', "1e999 is out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a":"\\ud800"}', "surrogates not allowed"),
        (b'{"\\udc00\\ud800":1}', "surrogates not allowed"),
        (b'{"a":"\xff"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        ('{"a":1}'.encode("utf-16"), "not valid JSON"),
        (b'{"a":"\x01"}', "not valid JSON"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "nested deeper than 100 levels"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b'{"a":"' + b"x" * 1000 + b'"}', "larger than 1,000 bytes"),
    ],
)
def test_what_two_readers_might_read_apart_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse_object(raw, "the thing", max_bytes=1000 if why.startswith("larger") else 1 << 20)


def test_whole_surrogate_pairs_and_deep_enough_nesting_are_fine() -> None:
    assert parse_object(b'{"a":"\\ud83e\\udd80"}', "x") == {"a": "🦀"}
    depth = MAX_DEPTH - 1
    assert parse_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}", "x")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(VALUES)
def test_canonical_bytes_are_the_same_for_equal_data_and_can_be_read(value: Any) -> None:
    raw = canonical(value)
    assert parse_value(raw, "x") == value
    assert canonical(json.loads(json.dumps(value))) == raw


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_has_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        canonical(value)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_value_or_invalid_input(raw: bytes) -> None:
    try:
        parse_value(raw, "x")
    except InvalidInput:
        return
