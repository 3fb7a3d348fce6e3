from __future__ import annotations

import threading

import pytest

from compliance.errors import Unavailable
from gate.rounds import Rounds


@pytest.mark.parametrize("failure", [Unavailable("the registry is away"), ValueError("a defect")])
def test_a_round_that_fails_is_followed_by_another(failure, caplog):
    rounds, done = Rounds("mending"), threading.Event()
    tries = []

    def once():
        tries.append(1)
        if len(tries) == 1:
            raise failure
        done.set()

    with rounds.going(once, every=0.01):
        assert done.wait(120)
    assert str(failure) in caplog.text
    assert "mending" in caplog.text


def test_what_is_wanted_soon_does_not_wait_for_its_time():
    rounds, times = Rounds("mending"), threading.Semaphore(0)
    with rounds.going(times.release, every=3600):
        assert times.acquire(timeout=120)
        rounds.soon()
        assert times.acquire(timeout=120)
        assert not rounds.ending
    assert rounds.ending
