from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.errors import InvalidInput, Unavailable
from compliance.scan.advisories import compile_database, read_advisories
from compliance.scan.database import find_databases
from compliance.scan.trivy import Trivy

PROGRAMS = Path(__file__).parent / "data" / "programs"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOWHERE = Path("/nowhere")


def advisory(directory: Path, identifier: str = "ACME-1", modified: str = "2026-11-01T00:00:00Z") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{identifier}.json").write_text(
        json.dumps(
            {
                "id": identifier,
                "modified": modified,
                "summary": "What can happen.",
                "affected": [
                    {
                        "package": {"ecosystem": "PyPI", "name": "alpha"},
                        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]}],
                    }
                ],
                "database_specific": {"severity": "HIGH"},
            }
        )
    )


def public(place: Path, updated: datetime, *, next_update: datetime | None = None, version: int = 2) -> None:
    """Something in `place` that looks like Trivy's own database, made at `updated`."""
    advisory(place.parent / "public-osv", "CVE-2024-1")
    compile_database(read_advisories(place.parent / "public-osv"), place)
    later = next_update or updated + timedelta(days=1)
    metadata = {"Version": version, "NextUpdate": later.isoformat(), "UpdatedAt": updated.isoformat()}
    (place / "db" / "metadata.json").write_text(json.dumps(metadata))


@pytest.fixture
def downloading(tmp_path: Path) -> Trivy:
    """A program that downloads a database made an hour ago."""
    folder = tmp_path / "program"
    folder.mkdir()
    shutil.copy(PROGRAMS / "downloads", folder)
    public(folder, NOW - timedelta(hours=1))
    return Trivy(folder / "downloads", tmp_path / "layers")


def test_private_advisories_become_a_database(tmp_path: Path, trivy: Trivy) -> None:
    advisory(tmp_path / "osv", modified="2026-10-01T02:00:00+02:00")
    databases, notes = find_databases(
        trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=NOWHERE
    )
    (found,) = databases
    assert found.name == found.description.name == "advisories"
    assert found.description.updated == datetime(2026, 10, 1, tzinfo=UTC)
    assert notes == ("Trivy's own database is not there and was not to be downloaded.",)


def test_they_are_compiled_once_for_each_state_of_the_files(tmp_path: Path, trivy: Trivy) -> None:
    def find() -> tuple[Path, int]:
        ((database,), _) = find_databases(
            trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=NOWHERE
        )
        return database.cache, (database.cache / "db" / "trivy.db").stat().st_mtime_ns

    advisory(tmp_path / "osv")
    first = find()
    assert find() == first
    advisory(tmp_path / "osv", "ACME-2")
    assert find()[0] != first[0]
    assert [path.name for path in (tmp_path / "cache" / "advisories").iterdir() if path.name.startswith(".")] == []


def test_half_a_database_is_never_taken(tmp_path: Path, trivy: Trivy) -> None:
    advisory(tmp_path / "osv")
    arguments = (trivy, tmp_path / "cache", tmp_path / "osv")
    ((database,), _) = find_databases(*arguments, now=NOW, download=False, shared=NOWHERE)
    (database.cache / "db" / "metadata.json").unlink()
    ((again,), _) = find_databases(*arguments, now=NOW, download=False, shared=NOWHERE)
    assert again == database


def test_several_at_once_agree(tmp_path: Path, trivy: Trivy) -> None:
    for number in range(20):
        advisory(tmp_path / "osv", f"ACME-{number}")

    def find(_: int) -> object:
        return find_databases(trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=NOWHERE)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(find, range(8)))
    assert found == [found[0]] * 8


@pytest.mark.parametrize("made", [True, False], ids=["empty directory", "no directory"])
def test_no_advisories_are_a_note(tmp_path: Path, trivy: Trivy, made: bool) -> None:
    if made:
        (tmp_path / "osv").mkdir()
    databases, notes = find_databases(
        trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=NOWHERE
    )
    assert databases == ()
    assert notes[-1] == f"There are no private advisories in {tmp_path / 'osv'}."


def test_a_bad_advisory_is_the_users_to_mend(tmp_path: Path, trivy: Trivy) -> None:
    advisory(tmp_path / "osv")
    (tmp_path / "osv" / "ACME-2.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"ACME-2\.json:1: id is missing"):
            find_databases(trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=NOWHERE)


def test_trivys_own_database_comes_first(tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]) -> None:
    advisory(tmp_path / "osv")
    public(tmp_path / "shared", NOW - timedelta(hours=2))
    databases, notes = find_databases(
        trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, download=False, shared=tmp_path / "shared"
    )
    assert [(item.name, item.description.updated) for item in databases] == [
        ("trivy", NOW - timedelta(hours=2)),
        ("advisories", datetime(2026, 11, 1, tzinfo=UTC)),
    ]
    assert notes == ()
    found = trivy.match(cyclonedx("alpha==1.0"), databases).vulnerabilities
    assert [(item.id, item.database) for item in found] == [("ACME-1", "advisories"), ("CVE-2024-1", "trivy")]


def test_the_newest_of_trivys_databases_is_used(tmp_path: Path, trivy: Trivy) -> None:
    public(tmp_path / "shared", NOW - timedelta(days=3))
    public(tmp_path / "cache" / "trivy" / "20261121T000000Z", NOW - timedelta(days=1))
    public(tmp_path / "cache" / "trivy", NOW - timedelta(days=2))
    ((database,), _) = find_databases(
        trivy, tmp_path / "cache", NOWHERE, now=NOW, download=False, shared=tmp_path / "shared"
    )
    assert database.description.updated == NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("{}", "its metadata.json is not understood"),
        (
            json.dumps({"Version": 3, "NextUpdate": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z"}),
            "3",
        ),
    ],
    ids=["not metadata", "another schema"],
)
def test_a_database_that_cannot_be_used_is_a_note(
    tmp_path: Path, trivy: Trivy, metadata: str, reason: str
) -> None:
    public(tmp_path / "shared", NOW)
    (tmp_path / "shared" / "db" / "metadata.json").write_text(metadata)
    databases, notes = find_databases(
        trivy, tmp_path / "cache", NOWHERE, now=NOW, download=False, shared=tmp_path / "shared"
    )
    assert databases == ()
    assert notes[0].startswith(f"The database in {tmp_path / 'shared'} cannot be used: ")
    assert reason in notes[0]


def test_a_missing_database_is_downloaded(tmp_path: Path, downloading: Trivy) -> None:
    ((database,), notes) = find_databases(downloading, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)
    assert database.description.updated == NOW - timedelta(hours=1)
    assert database.cache.is_relative_to(tmp_path / "cache" / "trivy")
    assert notes == (f"There are no private advisories in {NOWHERE}.",)
    assert find_databases(downloading, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)[0] == (database,)
    assert (downloading.binary.parent / "asked").read_text() == "asked\n"


def test_an_overdue_database_is_replaced_and_the_one_before_kept(tmp_path: Path, downloading: Trivy) -> None:
    for days in (9, 6, 3):
        made = NOW - timedelta(days=days)
        public(tmp_path / "cache" / "trivy" / f"{made:%Y%m%dT%H%M%SZ}", made)
    ((database,), _) = find_databases(downloading, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)
    assert database.description.updated == NOW - timedelta(hours=1)
    kept = sorted(path.name for path in (tmp_path / "cache" / "trivy").glob("[0-9]*"))
    assert kept == ["20261119T120000Z", "20261122T110000Z"]


def test_a_failed_download_is_a_note_and_not_tried_again_for_twelve_hours(tmp_path: Path) -> None:
    failing = Trivy(PROGRAMS / "fails", tmp_path / "layers")
    hours = (0, 1, 11.9, 12, 13)
    notes = [
        find_databases(failing, tmp_path / "cache", NOWHERE, now=NOW + timedelta(hours=each), shared=NOWHERE)[1][0]
        for each in hours
    ]
    first, second = ("2026-11-23 00:00", "2026-11-23 12:00")
    assert [note.split("Next try after ")[1] for note in notes] == [
        f"{each} UTC." for each in (first, first, first, second, second)
    ]
    assert "`trivy image --download-db-only` says why" in notes[0]
    noted = (tmp_path / "cache" / "trivy" / "last-attempt.json").read_text()
    assert "run error: no such host" in noted


def test_a_cache_that_is_no_directory_is_unavailable(tmp_path: Path, trivy: Trivy) -> None:
    advisory(tmp_path / "osv")
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be compiled") as caught:
        find_databases(trivy, tmp_path / "cache", tmp_path / "osv", now=NOW, shared=NOWHERE)
    assert "writable" in str(caught.value.remedy)


def test_a_clock_set_back_does_not_stop_downloads(tmp_path: Path, downloading: Trivy) -> None:
    failing = Trivy(PROGRAMS / "fails", tmp_path / "layers")
    find_databases(failing, tmp_path / "cache", NOWHERE, now=NOW + timedelta(days=400), shared=NOWHERE)
    databases, _ = find_databases(downloading, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)
    assert len(databases) == 1


def test_a_stale_database_is_used_with_a_note_where_no_newer_can_be_had(tmp_path: Path) -> None:
    failing = Trivy(PROGRAMS / "fails", tmp_path / "layers")
    public(tmp_path / "shared", NOW - timedelta(days=30))
    databases, notes = find_databases(failing, tmp_path / "cache", NOWHERE, now=NOW, shared=tmp_path / "shared")
    assert [item.description.updated for item in databases] == [NOW - timedelta(days=30)]
    assert notes[0].startswith("Trivy's own database could not be downloaded")
