"""Pushes under way: which a stopping gate lets go on, and which it does not let begin."""

from __future__ import annotations

import pytest

from gate.errors import Fault
from gate.pushes import AFTER_MANIFEST, PAUSE, Pushes


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pushes(clock):
    return Pushes(clock)


def test_a_push_is_under_way_while_a_request_is_and_a_moment_after(pushes, clock):
    with pushes.request("ci", "a"):
        assert pushes.under_way() == 1
    assert pushes.under_way() == 1
    clock.now += PAUSE
    assert pushes.under_way() == 0


def test_after_a_manifest_it_is_over_sooner(pushes, clock):
    with pushes.request("ci", "a"):
        pass
    with pushes.request("ci", "a", manifest=True):
        pass
    clock.now += AFTER_MANIFEST
    assert pushes.under_way() == 0


def test_a_failed_request_ends_as_any_other(pushes, clock):
    with pytest.raises(ZeroDivisionError), pushes.request("ci", "a"):
        raise ZeroDivisionError
    clock.now += PAUSE
    assert pushes.under_way() == 0


def test_a_stopping_gate_takes_requests_of_pushes_under_way_and_no_others(pushes, clock):
    with pushes.request("ci", "a"):
        pass
    pushes.stop()
    with pushes.request("ci", "a"):
        pass
    for user, repository in (("ci", "b"), ("eve", "a")):
        with pytest.raises(Fault) as told, pushes.request(user, repository):
            pytest.fail("was let in")
        assert told.value.status == 503
        assert told.value.headers["Retry-After"]
    clock.now += PAUSE
    with pytest.raises(Fault), pushes.request("ci", "a"):
        pytest.fail("was let in")


def test_what_is_over_takes_no_memory(pushes, clock):
    for number in range(1000):
        with pushes.request("ci", f"r{number}"):
            pass
        clock.now += PAUSE
    assert len(pushes._until) + len(pushes._open) <= 2
