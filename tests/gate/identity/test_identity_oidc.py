"""Tokens of a real issuer on a socket, good and bad."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from compliance.errors import Unavailable
from gate.identity.access import watch_access
from gate.identity.issuer_keys import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, IssuerKeys
from gate.identity.issuer_tokens import LEEWAY_SECONDS, IssuerTokens
from gate.identity.oidc import Oidc
from gate.identity.permissions import Action
from gate.identity.proof import NotProven
from gate.identity.sessions import SECONDS, Session, Sessions
from gate.identity.tokens import Tokens
from tests.gate.identity.oidc_issuer import ACCESS, AUDIENCE

WEAK = (  # the modulus of an RSA key of 1,024 bits
    "tNf99Na1Uf4OIW0GejrdUksBKUWElsCnHcXlxiITeKUJA5_gevCOBgwM7qgd6LXkaLYQLIALsG49N6mAaUmbo"
    "TtR7gT67lDF6ThFG7cahxbuhW-XXr2cAcAWFx6FNrHzuOP7jeQ7Wj4HN3mXa8o5GkMUyaEVkc6iNAQPtueReP8"
)
CLAIMS = {"repository_owner_id": "9919", "repository_owner": "octo", "ref": "refs/heads/main"}


class Moment:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Clock:
    def __init__(self) -> None:
        self.now = 10_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def http():
    with httpx.Client(trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def access(tmp_path, issuer):
    path = tmp_path / "access.yaml"
    path.write_text(ACCESS.format(url=issuer.url, audience=AUDIENCE))
    return path


@pytest.fixture
def oidc(access, http):
    return Oidc(watch_access(access), IssuerTokens(http, utc_now), Sessions(b"k" * 32, utc_now))


def utc_now() -> datetime:
    return datetime.now(UTC)


def refused(oidc, token: str | bytes) -> str:
    with pytest.raises(NotProven) as caught:
        oidc.log_in(token if isinstance(token, bytes) else token.encode())
    assert "\n" not in caught.value.message
    return caught.value.message


def encoded(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_good_token_logs_in_as_its_subject_and_may_do_what_its_claims_are_given(oidc, issuer):
    who = oidc.log_in(issuer.token(CLAIMS).encode())
    assert who.name == "github:repo:octo/app:ref:refs/heads/main"
    assert who.may(Action.PUSH, "octo/image")
    assert not who.sees("other/image")


def test_a_session_logs_in_again_with_what_the_access_file_gives_by_then(oidc, issuer, access):
    first = oidc.log_in(issuer.token(CLAIMS).encode())
    issuer.down = True
    again = oidc.log_in_again(first.session)
    assert (again.name, again.permissions, again.session) == (first.name, first.permissions, first.session)
    assert first.session not in repr(first)
    access.write_text(access.read_text().replace("9919", "9920"))
    with pytest.raises(NotProven, match="nothing is granted"):
        oidc.log_in_again(first.session)
    access.unlink()
    with pytest.raises(NotProven, match="the session is over"):
        oidc.log_in_again(first.session)


def test_a_session_ends_and_is_neither_a_token_nor_the_other_way_round():
    clock = Moment()
    sessions, tokens = Sessions(b"k" * 32, clock), Tokens(b"k" * 32, 300, clock)
    session = sessions.issue(Session("https://issuer.example", "robot", {"ref": "main", "list": [1]}))
    assert sessions.read(session) == Session("https://issuer.example", "robot", {"ref": "main"})
    assert Sessions(b"x" * 32, clock).read(session) is None
    assert tokens.read(session) is None
    assert sessions.read(tokens.issue("ci", []).token) is None
    for nonsense in ("", "a.b.c", "x" * 20_000):
        assert sessions.read(nonsense) is None
    clock.now += timedelta(seconds=SECONDS)
    assert sessions.read(session) is None


def test_elliptic_keys_will_do_too(oidc, issuer):
    issuer.add_key("second")
    assert oidc.log_in(issuer.token(CLAIMS, key="second").encode()).may(Action.PUSH, "octo/image")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"iss": "https://evil.example"}, "of an issuer that is not trusted"),
        ({"iss": None}, "of an issuer that is not trusted"),
        ({"iss": ["https://evil.example"]}, "of an issuer that is not trusted"),
        ({"aud": "https://other.example"}, "not for the audience"),
        ({"aud": [AUDIENCE, "https://other.example"]}, "not for the audience"),
        ({"aud": None}, "not for the audience"),
        ({"exp": int(time.time()) - LEEWAY_SECONDS - 5}, "not good now"),
        ({"exp": None}, "not good now"),
        ({"exp": "never"}, "not good now"),
        ({"iat": None}, "not good now"),
        ({"iat": int(time.time()) + 86_400}, "not good now"),
        ({"nbf": int(time.time()) + 86_400}, "not good now"),
        ({"sub": None}, "not good now"),
        ({"sub": 7}, "not good now"),
        ({"repository_owner_id": "1"}, "nothing is granted for its claims"),
    ],
)
def test_claims_that_are_not_right_log_nobody_in(oidc, issuer, changed, said):
    assert said in refused(oidc, issuer.token({**CLAIMS, **changed}))


def test_a_little_difference_of_clocks_is_forgiven(access, http, issuer):
    clock = Moment()
    oidc = Oidc(watch_access(access), IssuerTokens(http, clock), Sessions(b"k" * 32, clock))
    at = int(clock.now.timestamp())
    times = {"at": at, "exp": at - LEEWAY_SECONDS + 10, "iat": at + LEEWAY_SECONDS - 10}
    oidc.log_in(issuer.token(CLAIMS, **times).encode())
    oidc.log_in(issuer.token(CLAIMS, at=at, aud=[AUDIENCE]).encode())


def test_signatures_by_anybody_else_or_by_nobody_do_not_count(oidc, issuer):
    good = issuer.token(CLAIMS)
    header, payload, signature = good.split(".")
    assert "not signed by github" in refused(oidc, f"{header}.{payload}.{signature[:-8]}AAAAAAAA")
    assert "which is not accepted" in refused(oidc, f"{encoded({'alg': 'none', 'kid': 'first'})}.{payload}.")
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "x", "exp": 2**40, "iat": 0, **CLAIMS}
    assert "not signed by github" in refused(oidc, jwt.encode({"alg": "RS256", "kid": "first"}, claims, stranger))


def test_the_public_key_is_no_secret_for_an_hmac(oidc, issuer):
    public = issuer.keys["first"].as_pem(private=False)
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "x", "exp": 2**40, "iat": 0, **CLAIMS}
    signed = ".".join(encoded(part) for part in ({"alg": "HS256", "kid": "first"}, claims))
    seal = (
        base64.urlsafe_b64encode(hmac.new(public, signed.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    )
    assert "which is not accepted" in refused(oidc, f"{signed}.{seal}")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256", "kid": 7},
        {"alg": ["RS256"], "kid": "first"},
        {"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": False},
        {"alg": "RS256", "kid": "../../etc/passwd"},
        {"alg": "ES256", "kid": "first"},
        {"kid": "first"},
    ],
)
def test_odd_headers_are_refused(oidc, issuer, header):
    _, payload, signature = issuer.token(CLAIMS).split(".")
    refused(oidc, f"{encoded(header)}.{payload}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"eyJ",
        b"..",
        b"\xff.\xff.\xff",
        base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=") + b".e30.x",
        b"eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=") + b".x",
        b"eyJhbGciOiJSUzI1NiJ9.W10.x",
        b"a" * 20_000 + b".b.c",
    ],
)
def test_what_is_no_token_is_refused_without_asking_the_issuer(oidc, issuer, token):
    assert "not a JSON web token" in refused(oidc, token)
    assert issuer.asked == []


def test_a_subject_that_could_forge_a_log_is_made_harmless(oidc, issuer):
    who = oidc.log_in(issuer.token(CLAIMS, sub="a\nb" + "x" * 500).encode())
    assert who.name.isprintable()
    assert len(who.name) < 256
    other = oidc.log_in(issuer.token(CLAIMS, sub="a?b" + "x" * 500).encode())
    assert other.name != who.name


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(issuer, http, clock):
    return IssuerKeys(issuer.url, http, clock)


def test_keys_are_fetched_once_and_again_when_they_are_old(keys, issuer, clock):
    for _ in range(5):
        assert keys.find("first") is not None
    assert len(issuer.asked) == 2
    clock.now += FRESH_SECONDS + 1
    assert keys.find("first") is not None
    assert len(issuer.asked) == 4


def test_an_unknown_key_is_looked_for_at_a_bounded_rate(keys, issuer, clock):
    keys.find("first")
    issuer.add_key("second")
    assert keys.find("second") is None
    clock.now += PAUSE_SECONDS
    assert keys.find("second") is not None
    clock.now += PAUSE_SECONDS
    asked = len(issuer.asked)
    for number in range(100):
        assert keys.find(f"made-up-{number}") is None
    assert len(issuer.asked) == asked + 2


def test_known_keys_are_used_for_a_while_when_the_issuer_is_down(keys, issuer, clock):
    keys.find("first")
    issuer.down = True
    clock.now += STALE_SECONDS - 1
    assert keys.find("first") is not None
    clock.now += 2
    with pytest.raises(Unavailable, match="cannot be fetched; nobody is logged in"):
        keys.find("first")
    issuer.down = False
    clock.now += PAUSE_SECONDS
    assert keys.find("first") is not None


def test_a_key_that_was_withdrawn_is_not_used_any_more(keys, issuer, clock):
    keys.find("first")
    issuer.add_key("second")
    del issuer.keys["first"]
    clock.now += FRESH_SECONDS + 1
    assert keys.find("first") is None
    assert keys.find(None) is not None


def test_an_issuer_that_calls_itself_something_else_is_not_believed(keys, issuer):
    issuer.calls_itself = "https://token.actions.githubusercontent.com"
    with pytest.raises(Unavailable):
        keys.find("first")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "first", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "first"},
        {"kty": "RSA", "kid": "first", "n": "!", "e": "AQAB"},
        {"kty": "EC", "kid": "first", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "unheard", "kid": "first"},
    ],
)
def test_entries_that_are_no_good_keys_are_passed_over(keys, issuer, entry):
    issuer.published = [entry]
    assert keys.find("first") is None


def test_a_weak_key_and_one_for_encryption_are_passed_over(keys, issuer):
    strong = issuer.keys["first"].as_dict(private=False)
    issuer.published = [
        {"kty": "RSA", "kid": "weak", "n": WEAK, "e": "AQAB"},
        {**strong, "kid": "first", "use": "enc"},
    ]
    assert keys.find("weak") is None
    assert keys.find("first") is None
