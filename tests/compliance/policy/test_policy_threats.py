"""EPSS and KEV files: read as they are published, or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.evidence import VulnerabilityScan
from compliance.policy.threats import Threats, parse_epss, parse_kev
from tests.compliance.policy.policy_evidence import given_evidence

EPSS = b"""#model_version:v2026.03.01,score_date:2026-11-21T00:00:00+0000
cve,epss,percentile
CVE-2026-1001,0.00043,0.09
CVE-2026-20000,1.0,1.0
CVE-2026-1003,2e-05,0.01
"""
KEV = json.dumps(
    {
        "title": "CISA Catalog of Known Exploited Vulnerabilities",
        "catalogVersion": "2026.11.20",
        "count": 2,
        "vulnerabilities": [{"cveID": "CVE-2026-1001", "dueDate": "2026-12-01"}, {"cveID": "CVE-2026-1009"}],
    }
).encode()


def test_published_files_are_read() -> None:
    assert parse_epss(EPSS, "epss.csv") == {
        "CVE-2026-1001": 0.00043,
        "CVE-2026-20000": 1.0,
        "CVE-2026-1003": 2e-05,
    }
    assert parse_kev(KEV, "kev.json") == {"CVE-2026-1001", "CVE-2026-1009"}


def test_a_finding_is_known_by_id_or_alias_and_the_worst_counts() -> None:
    found = given_evidence(
        vulnerabilities=[
            {
                "id": "GHSA-1",
                "aliases": ["CVE-2026-1001", "CVE-2026-20000"],
                "package": "fastapi",
                "severity": "low",
            },
            {"id": "CVE-2026-1003", "package": "fastapi", "severity": "low", "epss": 0.5, "exploited": True},
            {"id": "CVE-2026-4", "package": "fastapi", "severity": "low"},
        ]
    )
    scan = Threats(parse_epss(EPSS, "e"), parse_kev(KEV, "k")).enrich(found).vulnerabilities
    assert isinstance(scan, VulnerabilityScan)
    assert [(one.epss, one.known_exploited) for one in scan.vulnerabilities] == [
        *((1.0, True), (0.5, True), (None, False))
    ]
    assert Threats().enrich(found) is found


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "epss.csv:1: is not EPSS's CSV"),
        (b"#x\n", "epss.csv:2: is not EPSS's CSV"),
        (b"cve,percentile,epss\n", "the header"),
        (b"cve,epss,percentile\nCVE-2026-1001,1.1,0\n", "epss.csv:2"),
        (b"cve,epss,percentile\nCVE-2026-1001,nan,0\n", "epss.csv:2"),
        (b"cve,epss,percentile\nCVE-2026-1001,-0.1,0\n", "epss.csv:2"),
        (b"cve,epss,percentile\n\n", "epss.csv:2"),
        (
            b"cve,epss,percentile\nCVE-2026-1001,0.1,0\nCVE-2026-1001,0.2,0\n",
            "epss.csv:3: CVE-2026-1001 stands twice",
        ),
        ("cve,epss,percentile\nCVE-2026-1001,٠.1,0\n".encode(), "other than ASCII"),
        (b"\x1f\x8b", "other than ASCII"),
    ],
)
def test_epss_that_is_odd_is_refused_with_its_line(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_epss(raw, "epss.csv")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 3},
        {"count": None},
        {"vulnerabilities": None},
        {"vulnerabilities": [{"cveID": "x"}, {"cveID": "y"}]},
    ],
    ids=str,
)
def test_a_catalogue_that_was_cut_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=r"kev\.json"):
        parse_kev(json.dumps({**json.loads(KEV), **change}).encode(), "kev.json")


@given(st.binary(max_size=60))
def test_any_bytes_are_data_or_invalid_input(raw: bytes) -> None:
    for parse in (parse_epss, parse_kev):
        for tail in (raw, EPSS + raw, KEV[: len(KEV) // 2] + raw):
            try:
                parse(tail, "x")
            except InvalidInput:
                continue
