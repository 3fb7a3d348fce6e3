"""The first sight of a vulnerability is the same for all gates on one database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

from compliance.evidence import Absent, Evidence, Severity, Subject, Vulnerability, VulnerabilityScan
from gate.sightings import AT_A_TIME
from gate.store import Store

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(days=5)
GONE = Absent("gone")


def found(*names: str, purls: tuple[str, ...] = ("pkg:pypi/a@1",)) -> Evidence:
    name, *aliases = names
    each = (
        Vulnerability(name, purl, "a", "1", (), Severity.HIGH, "t", "trivy", aliases=tuple(aliases))
        for purl in purls
    )
    return Evidence(
        Subject("a/b"), GONE, GONE, GONE, GONE, VulnerabilityScan(tuple(each), ()), GONE, GONE, GONE, GONE
    )


def firsts(evidence: Evidence) -> list[datetime | None]:
    assert isinstance(evidence.vulnerabilities, VulnerabilityScan)
    return [each.first_seen for each in evidence.vulnerabilities.vulnerabilities]


def test_what_one_gate_saw_another_knows_by_any_name(place):
    with closing(Store(place)) as one, closing(Store(place)) as other:
        assert firsts(one.sightings.mark(found("GHSA-1", "CVE-1"), NOW)) == [NOW]
        assert firsts(other.sightings.mark(found("CVE-1"), LATER)) == [NOW]
        assert firsts(other.sightings.mark(found("CVE-1", purls=("pkg:pypi/a@2",)), LATER)) == [LATER]


def test_more_packages_than_are_asked_for_at_a_time(place):
    purls = tuple(f"pkg:pypi/a@{number}" for number in range(AT_A_TIME + 7))
    with closing(Store(place)) as store:
        store.sightings.mark(found("CVE-1", purls=purls[-1:]), NOW)
        assert firsts(store.sightings.mark(found("CVE-1", purls=purls), LATER)) == [
            *([LATER] * (len(purls) - 1)),
            NOW,
        ]


def test_gates_that_see_it_at_once_agree_afterwards(place):
    stores = [Store(place) for _ in range(4)]

    def see(number: int) -> object:
        return firsts(stores[number % 4].sightings.mark(found("CVE-1"), NOW + timedelta(seconds=number)))

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(see, range(8)))) == 8
    assert len({tuple(firsts(store.sightings.mark(found("CVE-1"), LATER))) for store in stores}) == 1
    for store in stores:
        store.close()
