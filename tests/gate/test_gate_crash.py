"""The gate's promises through crashes and failures; many more interleavings: python -m tests.crash"""

from __future__ import annotations

import pytest

from tests.crash.driver import Driver
from tests.crash.points import POINTS

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize(("seed", "steps"), [(1, 4), (3, 4)])
def test_the_promises_hold_in_a_short_interleaving(tmp_path, seed, steps):
    print(f"again, and longer: python -m tests.crash --interleavings 1 --seed {seed} --steps {steps}")
    counts = Driver(seed, tmp_path / "world", print).run(steps)
    assert counts.violations == []
    assert counts.steps.total() == steps


def test_every_step_of_an_admission_has_a_moment_to_be_killed_at():
    named = " ".join(point.name for point in POINTS)
    assert all(f"step {step}" in named for step in (4, 5, 8, 9, 10, 11))
