"""Deadlines: fixed when something is first found; what comes later can only make them earlier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from compliance.policy.canonical import canonical_json, from_canonical_json
from compliance.policy.later import Blocking
from gate.deadlines import Causes

AT = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def found(name: str, days: int, *aliases: str, culprit: str = "pkg:pypi/a@1") -> Blocking:
    return Blocking("vulnerabilities", culprit, (name, *aliases), days)


findings = st.lists(
    st.builds(
        found,
        st.sampled_from(["CVE-1", "CVE-2", "CVE-3"]),
        st.integers(0, 30),
        culprit=st.sampled_from(["pkg:pypi/a@1", "pkg:pypi/b@1"]),
    ),
    max_size=4,
)


def test_nothing_found_is_no_deadline():
    assert Causes().after([], AT) == (Causes(), None)


def test_the_same_cause_does_not_start_again_and_other_days_only_shorten():
    known, until = Causes().after([found("CVE-1", 7)], AT)
    assert until == AT + 7 * DAY
    known, until = known.after([found("CVE-1", 30)], AT + DAY)
    assert until == AT + 7 * DAY
    known, until = known.after([found("CVE-1", 2)], AT + DAY)
    assert until == AT + 2 * DAY


def test_a_cause_that_went_away_and_came_back_has_the_deadline_it_had():
    known, _ = Causes().after([found("CVE-1", 7)], AT)
    known, until = known.after([], AT + DAY)
    assert until is None
    assert known.after([found("CVE-1", 7)], AT + 30 * DAY)[1] == AT + 7 * DAY


def test_another_name_of_the_same_vulnerability_is_the_same_cause():
    known, _ = Causes().after([found("GHSA-1", 7)], AT)
    known, until = known.after([found("CVE-1", 7, "GHSA-1")], AT + DAY)
    assert until == AT + 7 * DAY
    assert known.after([found("CVE-1", 7)], AT + 2 * DAY)[1] == AT + 7 * DAY
    assert len(known.known) == 1


def test_what_has_no_days_ends_it_at_once():
    known, _ = Causes().after([found("CVE-1", 7)], AT)
    assert known.after([found("CVE-1", 7), found("MAL-1", 0)], AT + DAY)[1] == AT + DAY


@given(st.lists(findings, min_size=1, max_size=6))
def test_while_nothing_is_mended_the_deadline_never_moves_away(looks):
    """Whatever is found besides, and however days are changed."""
    there = [found("CVE-0", 10)]
    known, until = Causes().after(there, AT)
    for number, look in enumerate(looks, 1):
        before, there = until, [*there, *look]
        known, until = known.after(there, AT + number * DAY)
        assert until <= before


@given(st.lists(findings, max_size=6))
def test_no_cause_is_ever_there_beyond_its_own_deadline(looks):
    known, _ = Causes().after([found("CVE-0", 10)], AT)
    for number, look in enumerate(looks, 1):
        known, until = known.after([found("CVE-0", 30), *look], AT + number * DAY)
        assert until <= AT + 10 * DAY


@given(st.lists(findings, max_size=6))
def test_what_is_known_survives_storage_and_looking_again_changes_nothing(looks):
    known, until = Causes(), None
    for number, look in enumerate(looks):
        known, until = known.after(look, AT + number * DAY)
        assert from_canonical_json(canonical_json(known), Causes) == known
        assert known.after(look, AT + number * DAY + timedelta(hours=1)) == (known, until)
