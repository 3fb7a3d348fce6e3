"""The first sight of a vulnerability stays, by any of its names, and between processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.errors import Unavailable
from compliance.evidence import Absent, Evidence, Severity, Subject, Vulnerability, VulnerabilityScan
from compliance.scan.sightings import Sightings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(days=5)
GONE = Absent("gone")


def found(name: str = "GHSA-1", *aliases: str, purl: str = "pkg:pypi/a@1") -> Evidence:
    one = Vulnerability(name, purl, "a", "1", (), Severity.HIGH, "t", "trivy", aliases=aliases)
    scan = VulnerabilityScan((one,), ())
    return Evidence(Subject("a/b"), GONE, GONE, GONE, GONE, scan, GONE, GONE, GONE, GONE)


def first(evidence: Evidence) -> datetime | None:
    assert isinstance(evidence.vulnerabilities, VulnerabilityScan)
    return evidence.vulnerabilities.vulnerabilities[0].first_seen


def test_the_first_sight_stays(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "sightings.sqlite"
    assert first(Sightings(file).mark(found(), NOW)) == NOW
    assert first(Sightings(file).mark(found(), LATER)) == NOW


def test_another_name_of_it_is_the_same_and_another_package_is_not(tmp_path: Path) -> None:
    sightings = Sightings(tmp_path / "s")
    sightings.mark(found("GHSA-1", "CVE-1"), NOW)
    assert first(sightings.mark(found("CVE-1"), LATER)) == NOW
    assert first(sightings.mark(found("CVE-1", purl="pkg:pypi/a@2"), LATER)) == LATER


def test_a_time_in_another_zone_is_the_same_instant(tmp_path: Path) -> None:
    sightings = Sightings(tmp_path / "s")
    sightings.mark(found(), NOW.replace(tzinfo=None))
    assert first(sightings.mark(found(), LATER)) == NOW


def test_without_a_scan_nothing_is_written(tmp_path: Path) -> None:
    nothing = replace(found(), vulnerabilities=GONE)
    assert Sightings(tmp_path / "s").mark(nothing, NOW) is nothing
    assert not (tmp_path / "s").exists()


def test_many_at_once_see_the_same(tmp_path: Path) -> None:
    def look(number: int) -> datetime | None:
        return first(Sightings(tmp_path / "s").mark(found(), NOW + timedelta(days=number)))

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(look, range(16)))
    assert len(seen) <= 8
    assert first(Sightings(tmp_path / "s").mark(found(), LATER + timedelta(days=99))) in seen


def test_a_damaged_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="cannot be used"):
        Sightings(tmp_path / "s").mark(found(), NOW)
