from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from compliance.errors import InvalidInput
from compliance.evidence import Severity
from compliance.scan.advisories import (
    advisories_digest,
    advisory_files,
    compile_database,
    constraints_of,
    read_advisories,
)
from compliance.scan.osv import Event
from compliance.scan.trivy import Trivy, TrivyDatabase

BAD = Path(__file__).parent / "data" / "advisories"
IDENTIFIER = "GHSA-0000-0000-0000"


def write(directory: Path, **members: object) -> Path:
    """An advisory for alpha before 1.2, with `members` added or replaced."""
    advisory: dict[str, object] = {
        "id": IDENTIFIER,
        "modified": "2024-01-01T00:00:00Z",
        "summary": "What can happen.",
        "affected": [affected("alpha", [{"introduced": "0"}, {"fixed": "1.2"}])],
        "database_specific": {"severity": "HIGH"},
        **members,
    }
    directory.mkdir(exist_ok=True)
    path = directory / f"{advisory['id']}.json"
    path.write_text(json.dumps({key: value for key, value in advisory.items() if value is not None}))
    return path


def affected(name: str, events: Sequence[object], ecosystem: str = "PyPI", **members: object) -> dict[str, object]:
    ranges = [{"type": "ECOSYSTEM", "events": events}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, **members}


def compiled(directory: Path, target: Path) -> TrivyDatabase:
    return compile_database(read_advisories(directory), target)


@pytest.mark.parametrize(
    ("name", "line", "problem"),
    [
        ("a-list", 1, "is not a JSON object"),
        ("broken-cvss-vector", 30, "lacks a valid value for PR, UI, S, C, I, A"),
        ("date-instead-of-time", 3, "write a time such as"),
        ("debian-introduced-later", 6, "openssl: for Debian write one range, from introduced 0"),
        ("debian-last-affected", 6, "openssl: for Debian write one range"),
        ("debian-package-twice", 1, "openssl stands twice"),
        ("debian-without-release", 7, "name the release, such as Debian:12"),
        ("event-with-two-meanings", 18, "exactly one of introduced, fixed and last_affected"),
        ("id-with-a-slash", 2, "is not an identifier such as"),
        ("key-twice", 4, "'id' stands twice"),
        ("no-severity", 1, "no severity can be told: give a CVSS_V3 vector"),
        ("no-words", 1, "neither summary nor details"),
        ("not-json", 4, "not valid JSON"),
        ("not-utf8", 2, "not UTF-8"),
        ("nothing-affected", 5, "affected"),
        ("only-cvss-v4", 1, "no severity can be told"),
        ("only-git-ranges", 6, "alpha: neither a range of versions nor a list of versions"),
        ("time-without-zone", 3, "timezone"),
        (
            "unknown-ecosystem",
            7,
            "'npm' is not matched here",
        ),
        ("unknown-key", 29, "unknown key 'sumary', did you mean 'summary'?"),
        ("unknown-rating", 27, "database_specific.severity"),
        ("version-not-pep440", 6, "'one.two' is not a version by PEP 440"),
    ],
)
def test_bad_files_are_told_by_file_and_line(tmp_path: Path, name: str, line: int, problem: str) -> None:
    path = shutil.copy(BAD / f"{name}.json", tmp_path)
    with pytest.raises(InvalidInput) as caught:
        read_advisories(tmp_path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert problem in caught.value.message


def test_every_bad_file_has_a_case() -> None:
    cases = test_bad_files_are_told_by_file_and_line.pytestmark[0].args[1]
    assert {path.stem for path in BAD.iterdir()} == {case[0] for case in cases}


def test_the_file_is_named_after_the_advisory(tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / "requests.json")
    with pytest.raises(InvalidInput, match=f"holds the advisory {IDENTIFIER}") as caught:
        read_advisories(tmp_path)
    assert caught.value.remedy == f"Name it {IDENTIFIER}.json."


def test_a_file_as_osv_dev_serves_it_is_accepted(tmp_path: Path) -> None:
    write(
        tmp_path,
        schema_version="1.7.3",
        published="2024-01-01T00:00:00.123456Z",
        related=["CVE-2024-2"],
        upstream=["CVE-2024-1"],
        severity=[
            {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
            {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},
        ],
        affected=[
            {
                "package": {"ecosystem": "PyPI", "name": "alpha", "purl": "pkg:pypi/alpha"},
                "ranges": [
                    {"type": "GIT", "repo": "https://example.org/alpha", "events": [{"introduced": "0"}]},
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]},
                ],
                "versions": ["1.0", "1.1"],
                "ecosystem_specific": {"affected_functions": ["alpha.load"]},
                "database_specific": {"source": "https://example.org/advisory.json"},
            }
        ],
        references=[{"type": "WEB", "url": "https://example.org/"}],
        credits=[{"name": "A. Finder", "type": "FINDER", "contact": ["https://example.org/"]}],
        database_specific={"cwe_ids": ["CWE-79"], "severity": "MODERATE", "github_reviewed": True},
    )
    (advisory,) = read_advisories(tmp_path)
    assert advisory.severity is Severity.MEDIUM


def test_the_rating_is_the_highest_score_where_there_is_no_label(tmp_path: Path) -> None:
    vectors = ["CVSS:3.1/AV:L/AC:L/PR:L/UI:R/S:U/C:L/I:L/A:N", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"]
    write(tmp_path, database_specific=None, severity=[{"type": "CVSS_V3", "score": each} for each in vectors])
    (advisory,) = read_advisories(tmp_path)
    assert advisory.severity is Severity.CRITICAL


def test_the_bytes_depend_on_the_advisories_alone(tmp_path: Path) -> None:
    for number in range(300):
        write(tmp_path / "osv", id=f"ACME-{number}", affected=[affected(f"p{number % 17}", [{"introduced": "0"}])])
    first = compiled(tmp_path / "osv", tmp_path / "first")
    second = compiled(tmp_path / "osv", tmp_path / "second")
    assert first.description == second.description
    for name in ("trivy.db", "metadata.json"):
        assert (tmp_path / "first/db" / name).read_bytes() == (tmp_path / "second/db" / name).read_bytes()


def test_the_digest_of_the_files_covers_names_and_contents(tmp_path: Path) -> None:
    path = write(tmp_path)
    before = advisories_digest(advisory_files(tmp_path))
    path.write_text(path.read_text() + " ")
    changed = advisories_digest(advisory_files(tmp_path))
    path.rename(tmp_path / "other.json")
    assert len({before, changed, advisories_digest(advisory_files(tmp_path))}) == 3


def test_names_are_folded_as_the_index_folds_them(
    tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]
) -> None:
    write(tmp_path / "osv", affected=[affected("Jaraco.Context_Extra", [{"introduced": "0"}])])
    database = compiled(tmp_path / "osv", tmp_path / "db")
    for name in ("jaraco-context-extra", "jaraco.context-extra", "jaraco.context_extra"):
        assert len(trivy.match(cyclonedx(f"{name}==1.0"), [database]).vulnerabilities) == 1, name


def test_a_withdrawn_advisory_matches_nothing(
    tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]
) -> None:
    write(tmp_path / "osv", withdrawn="2024-02-01T00:00:00Z")
    database = compiled(tmp_path / "osv", tmp_path / "db")
    assert trivy.match(cyclonedx("alpha==1.0"), [database]).vulnerabilities == ()


def test_debian_advisories_are_by_source_package(
    tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]
) -> None:
    fixed, unfixed = [{"introduced": "0"}, {"fixed": "3.0.14-1~deb12u2"}], [{"introduced": "0"}]
    write(tmp_path / "osv", id="CVE-2024-1", affected=[affected("openssl", fixed, "Debian:12")])
    write(tmp_path / "osv", id="CVE-2024-2", affected=[affected("expat", unfixed, "Debian:12")])
    write(tmp_path / "osv", id="CVE-2024-3", affected=[affected("openssl", unfixed, "Debian:11")])
    database = compiled(tmp_path / "osv", tmp_path / "db")
    old = trivy.match(cyclonedx(debian={"openssl": "3.0.11-1~deb12u2", "expat": "2.5.0-1"}), [database])
    assert [(item.package, item.id, item.fixed, item.severity) for item in old.vulnerabilities] == [
        ("libexpat", "CVE-2024-2", (), Severity.HIGH),
        ("libopenssl", "CVE-2024-1", ("3.0.14-1~deb12u2",), Severity.HIGH),
    ]
    assert trivy.match(cyclonedx(debian={"openssl": "3.0.14-1~deb12u2"}), [database]).vulnerabilities == ()


def test_constraints() -> None:
    events = [Event(introduced="2.0"), Event(last_affected="2.4"), Event(introduced="0"), Event(fixed="1.2")]
    assert constraints_of(events) == ["<1.2", ">=2.0, <=2.4"]
    assert constraints_of([Event(introduced="0")]) == [">=0.dev0"]
    assert constraints_of([Event(introduced="1.0"), Event(fixed="1.0")]) == [">=1.0"]


releases = st.builds(
    lambda numbers, suffix: ".".join(map(str, numbers)) + suffix,
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.sampled_from(["", "", "", "a1", "rc2", ".dev3", ".post1"]),
)


bounds = releases.filter(lambda version: version != "0")  # as a bound, 0 means before every version


@st.composite
def ranges(draw: st.DrawFn) -> list[dict[str, str]]:
    """Events as OSV wants them: beginnings and ends in turn, at ascending versions."""
    versions = sorted(draw(st.lists(bounds, min_size=1, max_size=5, unique_by=Version)), key=Version)
    ends = draw(st.lists(st.sampled_from(["fixed", "last_affected"]), min_size=5, max_size=5))
    start = draw(st.sampled_from(["0", None]))
    names = ["introduced" if (index % 2 == 0) != (start == "0") else ends[index] for index in range(len(versions))]
    events = [{name: version} for name, version in zip(names, versions, strict=True)]
    return [{"introduced": "0"}, *events] if start else events


def is_affected(version: Version, events: list[dict[str, str]], listed: list[str]) -> bool:
    """The evaluation algorithm of the OSV schema, word for word."""
    if version in map(Version, listed):
        return True
    vulnerable = False
    for event in events:
        if "introduced" in event:
            vulnerable |= event["introduced"] == "0" or version >= Version(event["introduced"])
        elif "fixed" in event:
            vulnerable &= version < Version(event["fixed"])
        else:
            vulnerable &= version <= Version(event["last_affected"])
    return vulnerable


@pytest.mark.acceptance  # Trivy, once an example
@given(st.lists(st.tuples(ranges(), st.lists(releases, max_size=2)), min_size=1, max_size=12), st.randoms())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_trivy_judges_versions_as_osv_defines(
    tmp_path_factory: pytest.TempPathFactory,
    trivy: Trivy,
    cyclonedx: Callable[..., bytes],
    advisories: list[tuple[list[dict[str, str]], list[str]]],
    chance: random.Random,
) -> None:
    folder = tmp_path_factory.mktemp("osv")
    pins, expected = [], set()
    for number, (events, listed) in enumerate(advisories):
        name = f"package-{number}"
        write(folder / "osv", id=f"ACME-{number}", affected=[affected(name, events, versions=listed)])
        edges = [next(iter(event.values())) for event in events]
        for version in {*edges, *listed, "0.1", f"{chance.randrange(4)}.{chance.randrange(4)}"}:
            pins.append(f"{name}=={version}")
            if is_affected(Version(version), events, listed):
                expected.add((name, version))
    scan = trivy.match(cyclonedx(*pins), [compiled(folder / "osv", folder / "db")])
    assert {(item.package, item.installed) for item in scan.vulnerabilities} == expected
