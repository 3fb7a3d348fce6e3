from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from gate.identity.permissions import Action, Proof
from gate.identity.tokens import LEEWAY_SECONDS, Access, Tokens

KEY = b"k" * 32
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
PULL = Access("team/image", frozenset({Action.PULL}))


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(clock):
    return Tokens(KEY, 300, clock)


def signed(claims, key=KEY, alg="HS256"):
    return jwt.encode({"alg": alg}, claims, OctKey.import_key(key), algorithms=[alg])


def claims(**changed):
    begin = int(START.timestamp())
    good = {"iss": "mlgate", "aud": "mlgate", "sub": "ci", "iat": begin, "nbf": begin, "exp": begin + 300}
    access = [{"type": "repository", "name": "team/image", "actions": ["pull"]}]
    return {name: value for name, value in {**good, "access": access, **changed}.items() if value is not None}


def test_a_token_allows_what_it_was_issued_for_and_nothing_else(tokens):
    who = tokens.read(tokens.issue("ci", [PULL]).token)
    assert who is not None
    assert (who.name, who.proof) == ("ci", Proof.BEARER)
    assert who.may(Action.PULL, "team/image")
    assert not who.may(Action.PUSH, "team/image")
    assert not who.may(Action.PULL, "team/image2")


def test_another_gate_with_the_same_key_reads_it_and_one_with_another_does_not(tokens, clock):
    token = tokens.issue("ci", [PULL]).token
    assert Tokens(KEY, 60, clock).read(token) is not None
    assert Tokens(b"x" * 32, 300, clock).read(token) is None


def test_a_token_ends_also_for_who_has_read_it_before(tokens, clock):
    issued = tokens.issue("ci", [PULL])
    assert tokens.read(issued.token) is not None
    clock.now = START + timedelta(seconds=issued.seconds)
    assert tokens.read(issued.token) is None


def test_clocks_of_two_gates_may_be_a_little_apart(tokens, clock):
    token = tokens.issue("ci", [PULL]).token
    clock.now = START - timedelta(seconds=LEEWAY_SECONDS)
    assert tokens.read(token) is not None
    clock.now = START - timedelta(seconds=LEEWAY_SECONDS + 1)
    assert tokens.read(token) is None


def test_the_claims_of_a_good_token_are_good(tokens):
    assert tokens.read(signed(claims())) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": ["mlgate", "another"]},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": "never"},
        {"exp": float("inf")},
        {"nbf": None},
        {"access": None},
        {"access": "everything"},
        {"access": [{"type": "repository", "name": "x", "actions": ["own"]}]},
        {"access": [{"type": "registry", "name": "catalog", "actions": ["pull"]}]},
    ],
)
def test_claims_that_are_not_those_of_a_token_of_the_gate_are_not_believed(tokens, changed):
    assert tokens.read(signed(claims(**changed))) is None


def test_a_token_for_all_repositories_reviews_what_fits_and_does_nothing_else(tokens):
    who = tokens.read(tokens.issue("ci", [], ["serving/**"]).token)
    assert who is not None
    assert who.may(Action.REVIEW, "serving/iris")
    assert not who.may(Action.REVIEW, "team/iris")
    assert not any(who.may(action, "serving/iris") for action in (Action.PULL, Action.PUSH, Action.DELETE))


def test_a_pattern_where_a_name_should_be_allows_nothing(tokens):
    who = tokens.read(signed(claims(access=[{"type": "repository", "name": "**", "actions": ["push"]}])))
    assert who is not None
    assert not who.may(Action.PUSH, "team/image")


def test_another_algorithm_is_not_believed_even_with_the_right_key(tokens):
    assert tokens.read(signed(claims(), KEY * 2, "HS512")) is None
    header, _, rest = signed(claims()).partition(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    payload = rest.partition(".")[0]
    assert tokens.read(f"{none}.{payload}.") is None
    assert tokens.read(f"{header}.{payload}.") is None


@given(st.text(max_size=200) | st.lists(st.text("AZaz09-_=", max_size=40), max_size=6).map(".".join))
def test_no_text_is_taken_for_a_token_or_crashes(text):
    assert Tokens(KEY, 300, Clock()).read(text) is None


def test_a_token_of_unreasonable_length_is_not_looked_at(tokens):
    assert tokens.read("a" * 20_000 + ".b.c") is None
