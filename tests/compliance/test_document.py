"""YAML is read one way or not at all, and every complaint names the line."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from compliance.document import MAX_BYTES, Document, nearest, parse_document, read_document, read_model, to_model
from compliance.errors import InvalidInput

BAD = sorted((Path(__file__).parent / "data" / "document-bad").glob("*.yaml"))
HERE = Path("policy.yaml")


def parse(text: str) -> Document:
    return parse_document(text.encode(), HERE)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_doubtful_files_are_refused_with_the_line(path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_document(path)
    assert caught.value.at is not None
    assert caught.value.at.path == path
    expected = re.search(rb"^#line (\d+)$", path.read_bytes(), re.MULTILINE)
    if expected:
        assert caught.value.at.line == int(expected[1])


def test_there_are_doubtful_files() -> None:
    assert len(BAD) > 30


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("# only a comment", None),
        ("---\n", None),
        ("a: 1", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: -12\nb: 1.5\nc: 0x1F\nd: 1.5e+3", {"a": -12, "b": 1.5, "c": 31, "d": 1500.0}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a:\nb: ~\nc: null", {"a": None, "b": None, "c": None}),
        ('a: "yes"\nb: "012"\n"on": "n"', {"a": "yes", "b": "012", "on": "n"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        (
            "a: 3.11-slim\nb: 1.2.3\nc: 10.0.0.1:80\nd: a_b",
            {"a": "3.11-slim", "b": "1.2.3", "c": "10.0.0.1:80", "d": "a_b"},
        ),
        ("a: [1, {b: c}]", {"a": [1, {"b": "c"}]}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: >-\n  x\n  y\n\n  z\n", {"a": "x y\nz"}),
        ("a: grüße 🦀", {"a": "grüße 🦀"}),
        ("- a\n- b", ["a", "b"]),
        ("only words", "only words"),
    ],
)
def test_plain_files_are_read_as_people_mean_them(text: str, data: Any) -> None:
    assert parse(text).data == data


def test_every_part_knows_its_line() -> None:
    document = parse("a: 1\nb:\n  - c\n  - d: 2\n\n    e: 3\n")
    assert document.where(("a",)).line == 1
    assert document.where(("b", 0)).line == 3
    assert document.where(("b", 1, "e")).line == 6
    assert document.where(("b", 1, "nowhere", 7)).line == 4
    assert str(document.where(("nowhere",))) == "policy.yaml:1"


def test_a_file_that_is_missing_or_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read_document(tmp_path)
    with pytest.raises(InvalidInput, match="is larger than 1,000,000 bytes"):
        parse_document(b"#" * (MAX_BYTES + 1), HERE)


class Effect(StrEnum):
    DENY = "deny"
    WARN = "warn"


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    effect: Effect = Effect.DENY
    kind: Literal["simple", "complex"] = "simple"
    only_fixable: bool = Field(default=False, alias="only-fixable")


class Policy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    rules: tuple[Rule, ...] = ()
    words: tuple[str, ...] = Field(default=("x",), min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nmae: x", "policy.yaml:1: name is missing\npolicy.yaml:1: unknown key 'nmae', did you mean 'name'?"),
        ("name: x\nrules:\n- id: a\n  efect: deny", "policy.yaml:4: unknown key 'efect', did you mean 'effect'?"),
        (
            "name: x\nrules:\n- id: a\n  only_fixable: true",
            "policy.yaml:4: unknown key 'only_fixable', did you mean 'only-fixable'?",
        ),
        ("name: x\nquite-other: 1", "policy.yaml:2: unknown key 'quite-other'; known: name, rules, words, labels"),
        (
            "name: x\nrules:\n- id: a\n  effect: dney",
            "policy.yaml:4: rules.0.effect: unknown value 'dney', did you mean 'deny'?",
        ),
        (
            "name: x\nrules:\n- id: a\n- id: b\n  kind: simpel",
            "policy.yaml:5: rules.1.kind: unknown value 'simpel', did you mean 'simple'?",
        ),
        ("name: 1", "policy.yaml:1: name: is a number, not text: put it in quotes"),
        ("name: 3.10", "policy.yaml:1: name: is a number, not text: put it in quotes"),
        ("name: [x]", "policy.yaml:1: name: Input should be a valid string"),
        ("name: true", "policy.yaml:1: name: Input should be a valid string"),
        ("name: x\nrules: a", "policy.yaml:2: rules: is not a list: write [a]"),
        ("name: x\nrules: [a]", "policy.yaml:2: rules.0: is not a mapping of keys to values"),
        ("name: x\nlabels: a", "policy.yaml:2: labels: is not a mapping of keys to values"),
        ("", "policy.yaml:1: name is missing"),
        ("name: x\nwords: one.txt", "policy.yaml:2: words: is not a list: write [one.txt]"),
        ("name: x\nwords: 1", "policy.yaml:2: words: is not a list: write [one, another]"),
        ("name: x\nwords: [1]", "policy.yaml:2: words.0: is a number, not text: put it in quotes"),
        ("name: x\nwords: []", "policy.yaml:2: words: Tuple should have at least 1 item after validation, not 0"),
    ],
)
def test_mistakes_are_answered_with_the_line_and_the_nearest_right_word(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_model(parse(text), Policy)
    assert caught.value.message == complaint


def test_a_model_is_read_with_its_document(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("name: x\nrules:\n- {id: a, only-fixable: true}\n")
    policy, document = read_model(path, Policy)
    assert policy.rules[0].only_fixable
    assert document.where(("rules", 0)).line == 3
    assert to_model(document, Rule, ("rules", 0)).id == "a"


def test_the_nearest_word_is_near() -> None:
    assert nearest("severites", ["severities", "databases"]) == "severities"
    assert nearest("xyz", ["severities", "databases"]) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_invalid_input(raw: bytes) -> None:
    try:
        parse_document(raw, HERE)
    except InvalidInput:
        return


@given(st.text(st.sampled_from("ab:- \n\t[]{}&*!%#|>'\"?,0_1.~<=@`\\\u2028\x00é"), max_size=60))
def test_any_text_that_looks_like_yaml_is_a_document_or_invalid_input(text: str) -> None:
    try:
        document = parse(text)
    except InvalidInput:
        return
    assert all(location >= 1 for location in document.lines.values())


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126))
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-", min_size=1), inner, max_size=4),
    max_leaves=10,
)


@given(PLAIN)
def test_what_is_read_is_what_yaml_says(data: Any) -> None:
    """Whatever this reader accepts of a file that a YAML writer wrote, it reads as that writer meant."""
    from io import StringIO

    target = StringIO()
    YAML(typ="safe", pure=True).dump(data, target)
    try:
        found = parse(target.getvalue()).data
    except InvalidInput:
        return
    if isinstance(data, float):
        assert math.isclose(found, data)
    else:
        assert found == data
