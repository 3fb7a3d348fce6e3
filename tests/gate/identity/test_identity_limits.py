from __future__ import annotations

import pytest

from gate.errors import Fault
from gate.identity.limits import BURST_SECONDS, WRONG_PER_NAME, Buckets, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_bucket_gives_its_burst_and_then_what_comes_in(clock):
    buckets = Buckets(2, 3, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0


def test_the_least_heard_of_is_forgotten_first(clock):
    buckets = Buckets(0.001, 1, clock, kept=2)
    for key in ("a", "b", "c"):
        assert buckets.take(key) == 0
    assert buckets.take("c") > 0
    assert buckets.take("a") == 0


def test_too_many_requests_are_told_when_to_come_back(clock):
    limits = Limits(2, clock)
    for _ in range(2 * BURST_SECONDS):
        limits.request("ci")
    with pytest.raises(Fault) as caught:
        limits.request("ci")
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
    assert caught.value.headers == {"Retry-After": "1"}
    limits.request("somebody else")


def test_who_guesses_has_to_wait_and_nobody_else_does(clock):
    limits = Limits(1000, clock)
    ended = [limits.wrong("ci", "192.0.2.1") for _ in range(WRONG_PER_NAME)]
    assert ended == [False] * (WRONG_PER_NAME - 1) + [True]
    with pytest.raises(Fault, match="too many wrong logins; wait 6 s"):
        limits.may_guess("ci", "192.0.2.1")
    assert not limits.wrong("ci", "192.0.2.1")
    limits.may_guess("ci", "192.0.2.2")
    limits.may_guess("other", "192.0.2.1")
    clock.now += 6
    limits.may_guess("ci", "192.0.2.1")


def test_who_guesses_under_many_names_has_to_wait_too(clock):
    limits = Limits(1000, clock)
    for number in range(60):
        limits.wrong(f"name-{number}", "192.0.2.1")
    with pytest.raises(Fault, match="too many wrong logins"):
        limits.may_guess("another", "192.0.2.1")
