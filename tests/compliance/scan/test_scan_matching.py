from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from compliance.evidence import Severity, Vulnerability
from compliance.scan.matching import fixes, merge

FOUND = Vulnerability(
    id="CVE-2024-1",
    purl="pkg:pypi/alpha@1.0",
    package="alpha",
    installed="1.0",
    fixed=("1.2",),
    severity=Severity.MEDIUM,
    title="From the first database",
    database="trivy",
    aliases=("GHSA-1",),
)


@pytest.mark.parametrize(
    ("text", "installed", "debian", "expected"),
    [
        ("", "1.0", False, ()),
        ("1.10, 1.9", "1.0", False, ("1.9", "1.10")),
        ("2.0.6, 1.26.17", "2.0.3", False, ("2.0.6",)),
        ("1.26.17,2.0.6", "1.26.4", False, ("1.26.17", "2.0.6")),
        ("2.0, 2.0rc1", "1.0", False, ("2.0rc1", "2.0")),
        ("1.2", "1.3", False, ("1.2",)),
        ("main, 1.2", "1.0", False, ("1.2",)),
        ("3.0.14-1~deb12u2, 3.0.14-1", "3.0.11-1", True, ("3.0.14-1~deb12u2", "3.0.14-1")),
        ("1:1.0-1, 2.0-1", "1.5-1", True, ("2.0-1", "1:1.0-1")),
    ],
)
def test_fixes_are_sorted_and_lead_forward(
    text: str, installed: str, debian: bool, expected: tuple[str, ...]
) -> None:
    assert fixes(text, installed, debian=debian) == expected


def test_one_vulnerability_from_two_databases_is_one_finding() -> None:
    second = replace(
        FOUND,
        id="GHSA-1",
        aliases=("PYSEC-1",),
        severity=Severity.HIGH,
        title="From the second database",
        database="advisories",
        published=datetime(2024, 1, 1, tzinfo=UTC),
    )
    (one,) = merge([[FOUND], [second]])
    assert (one.id, one.aliases) == ("CVE-2024-1", ("GHSA-1", "PYSEC-1"))
    assert (one.title, one.database) == ("From the first database", "trivy")
    assert one.severity is Severity.HIGH
    assert one.published == second.published


def test_a_cve_id_is_preferred_wherever_it_comes_from() -> None:
    (one,) = merge([[replace(FOUND, id="GHSA-1", aliases=())], [FOUND]])
    assert (one.id, one.aliases) == ("CVE-2024-1", ("GHSA-1",))


def test_a_third_name_can_join_two_findings() -> None:
    other = replace(FOUND, id="PYSEC-1", aliases=())
    joint = replace(FOUND, id="OSV-1", aliases=("CVE-2024-1", "PYSEC-1"))
    (one,) = merge([[FOUND, other], [joint]])
    assert one.aliases == ("GHSA-1", "OSV-1", "PYSEC-1")


def test_the_same_vulnerability_in_two_packages_is_two_findings() -> None:
    other = replace(FOUND, purl="pkg:pypi/beta@1.0", package="beta")
    assert [item.package for item in merge([[other, FOUND]])] == ["alpha", "beta"]


def test_order_is_by_purl_and_id() -> None:
    items = [replace(FOUND, id=f"CVE-2024-{number}", aliases=()) for number in (3, 1, 2)]
    assert [item.id for item in merge([items])] == ["CVE-2024-1", "CVE-2024-2", "CVE-2024-3"]
