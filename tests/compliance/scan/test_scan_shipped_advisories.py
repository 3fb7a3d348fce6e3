"""The advisories in policies/: valid, and of use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.evidence import Severity
from compliance.scan.advisories import Advisory, compile_database, read_advisories
from compliance.scan.trivy import Trivy, TrivyDatabase

SHIPPED = Path(__file__).parents[3] / "policies" / "advisories"
OLD_PINS = (
    "requests==2.28.1",
    "urllib3==1.26.4",
    "jinja2==3.0.3",
    "pillow==9.4.0",
    "certifi==2022.12.7",
    "scikit-learn==1.2.2",
    "tornado==6.2",
    "tqdm==4.64.1",
)


@pytest.fixture(scope="module")
def shipped() -> tuple[Advisory, ...]:
    return read_advisories(SHIPPED)


@pytest.fixture
def database(shipped: tuple[Advisory, ...], tmp_path: Path) -> TrivyDatabase:
    return compile_database(shipped, tmp_path / "database")


def test_there_are_enough_and_each_says_where_it_comes_from(shipped: tuple[Advisory, ...]) -> None:
    assert len(shipped) >= 40
    for advisory in shipped:
        assert advisory.osv.published is not None, advisory.id
        assert advisory.osv.published <= advisory.osv.modified, advisory.id
        assert any(name.startswith("CVE-") for name in (advisory.id, *advisory.osv.aliases)), advisory.id
        assert advisory.osv.summary, advisory.id
        assert advisory.osv.references, advisory.id


def test_no_two_tell_of_the_same_vulnerability(shipped: tuple[Advisory, ...]) -> None:
    names = Counter(name for advisory in shipped for name in (advisory.id, *advisory.osv.aliases))
    assert [name for name, count in names.items() if count > 1] == []


def test_old_pins_are_hit(trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]) -> None:
    found = trivy.match(cyclonedx(*OLD_PINS), [database]).vulnerabilities
    assert {item.package for item in found} == {pin.split("==")[0] for pin in OLD_PINS}
    by_severity = Counter(item.severity for item in found)
    assert by_severity[Severity.CRITICAL] >= 1
    assert by_severity[Severity.HIGH] >= 4
    assert all(item.id.startswith("CVE-") and item.fixed for item in found)


def test_every_fix_mends(
    shipped: tuple[Advisory, ...], trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    """The version that an advisory names as its fix is not affected by that advisory, nor is the highest one."""
    pins = {
        f"{affected.package.name}=={event.fixed}"
        for advisory in shipped
        for affected in advisory.osv.affected
        for item in affected.version_ranges
        for event in item.events
        if event.fixed is not None and affected.package.debian_release is None
    }
    found = trivy.match(cyclonedx(*sorted(pins)), [database]).vulnerabilities
    assert [item for item in found if item.installed in item.fixed] == []


def test_a_current_debian_base_is_not_hit(
    trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    current = {
        "openssl": "3.0.17-1~deb12u2",
        "expat": "2.5.0-1+deb12u2",
        "glibc": "2.36-9+deb12u13",
        "python3.11": "3.11.2-6+deb12u6",
    }
    assert trivy.match(cyclonedx(debian=current), [database]).vulnerabilities == ()
    old = {"openssl": "3.0.11-1~deb12u1", "expat": "2.5.0-1", "glibc": "2.36-9", "python3.11": "3.11.2-6"}
    hit = trivy.match(cyclonedx(debian=old), [database]).vulnerabilities
    assert {item.package for item in hit} == {f"lib{name}" for name in old}
