"""Databases in registries: a real Trivy downloads what we publish; what is there is fetched, pinned, mirrored."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import EMPTY_JSON, OCI_LAYER_GZIP, Descriptor, Manifest
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.scan.advisories import compile_database, read_advisories
from compliance.scan.artifact import CONFIG_TYPE, LAYER_TYPE, layer_in, pack, unpack
from compliance.scan.database import find_databases
from compliance.scan.installed import PIN, TRIVY, installed, read_pin
from compliance.scan.mirror import fetch_database, parse_repository, publish_database
from compliance.scan.trivy import Trivy
from tests.compliance.oci.conftest import StartRegistry, start_registry

__all__ = ["start_registry"]

ADVISORIES = Path(__file__).parents[3] / "policies" / "advisories"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOWHERE = Path("/nonexistent")


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    compile_database(read_advisories(ADVISORIES), tmp_path / "compiled")
    return tmp_path / "compiled" / "db"


def dated(folder: Path, target: Path, updated: datetime, *, version: int = 2) -> Path:
    """The same database, made at another time."""
    target.mkdir(parents=True)
    (target / "trivy.db").write_bytes((folder / "trivy.db").read_bytes())
    when = updated.strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (updated + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"Version": version, "UpdatedAt": when, "NextUpdate": later, "DownloadedAt": when}
    (target / "metadata.json").write_text(json.dumps(metadata))
    return target


def targz(members: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data)
            member.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())


def test_an_artifact_has_the_form_trivy_takes_and_the_same_bytes_every_time(compiled: Path) -> None:
    manifest, blobs = pack(compiled)
    assert manifest.config.media_type == "application/vnd.aquasec.trivy.config.v1+json"
    assert [layer.media_type for layer in manifest.layers] == [
        "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
    ]
    assert manifest.layers[0].annotations == {"org.opencontainers.image.title": "db.tar.gz"}
    assert pack(compiled) == (manifest, blobs)


def test_what_was_packed_comes_out_again(compiled: Path, tmp_path: Path) -> None:
    _, (_, (_, layer)) = pack(compiled)
    (tmp_path / "layer").write_bytes(layer)
    unpack(tmp_path / "layer", tmp_path / "out")
    for name in ("trivy.db", "metadata.json"):
        assert (tmp_path / "out" / name).read_bytes() == (compiled / name).read_bytes()


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (b"not a tar at all", "is not a whole gzipped tar"),
        (b"", "is not a whole gzipped tar"),
        (targz({"trivy.db": b"x" * 9999})[:-30], "is not a whole gzipped tar"),
        (targz({"other.db": b"x"}), "holds no metadata.json and no trivy.db"),
        (targz({"trivy.db": b"x"}), "holds no metadata.json"),
        (targz({"../trivy.db": b"x", "../metadata.json": b"{}"}), "holds no metadata.json and no trivy.db"),
        (targz({"trivy.db": b"", "metadata.json": b""}, kind=tarfile.SYMTYPE), "holds no metadata.json and"),
    ],
    ids=["no-tar", "empty", "cut-short", "another-file", "no-metadata", "outside", "links"],
)
def test_a_layer_that_is_no_database_is_refused(layer: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(layer)
    with pytest.raises(InvalidInput, match=says):
        unpack(tmp_path / "layer", tmp_path / "out")
    assert not (tmp_path / "trivy.db").exists()


def test_another_artifact_is_no_database() -> None:
    config = Descriptor(media_type=CONFIG_TYPE, digest=Digest.of(EMPTY_JSON), size=2)
    image = Manifest(config=config, layers=(config.model_copy(update={"media_type": OCI_LAYER_GZIP}),))
    twice = Manifest(config=config, layers=(config.model_copy(update={"media_type": LAYER_TYPE}),) * 2)
    for document in (image, twice):
        with pytest.raises(InvalidInput, match="example/db is not a Trivy database"):
            layer_in(document, "example/db")


def test_a_repository_without_a_tag_means_the_schema_as_it_does_for_trivy() -> None:
    assert str(parse_repository("localhost:5000/mirror/trivy-db")) == "localhost:5000/mirror/trivy-db:2"
    assert parse_repository("localhost:5000/db:latest").tag == "latest"
    with pytest.raises(InvalidInput, match="names no registry"):
        parse_repository("mirror/trivy-db")


@pytest.mark.acceptance
def test_a_real_trivy_downloads_what_was_pushed_and_finds_by_it(
    start_registry: StartRegistry, compiled: Path, tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]
) -> None:
    host = start_registry()
    pushed = publish_database(compiled, parse_repository(f"{host}/security/advisories"))
    assert pushed.digest is not None
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").write_text("pillow==9.4.0\n")
    said = subprocess.run(
        [
            *(trivy.binary, "fs", "--db-repository", f"{host}/security/advisories", "--scanners", "vuln"),
            *("--cache-dir", tmp_path / "fresh", "--format", "json", "--skip-version-check", "--quiet"),
            tmp_path / "app",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("TRIVY_")},
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)["Results"][0]["Vulnerabilities"]
    assert "GHSA-3f63-hfp8-52jq" in {one["VulnerabilityID"] for one in found}


@pytest.mark.acceptance
def test_a_machine_without_trivys_registry_downloads_by_itself_from_a_mirror(
    start_registry: StartRegistry, compiled: Path, tmp_path: Path, trivy: Trivy
) -> None:
    host = start_registry()
    publish_database(dated(compiled, tmp_path / "new", NOW), parse_repository(f"{host}/mirror/trivy-db"))
    ((database,), notes) = find_databases(
        trivy, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE, repository=f"{host}/mirror/trivy-db"
    )
    assert database.description.updated == NOW
    assert not any("could not be downloaded" in note for note in notes)


@pytest.mark.acceptance
def test_a_database_is_fetched_mirrored_unchanged_and_pinned(
    start_registry: StartRegistry, compiled: Path, tmp_path: Path, trivy: Trivy, cyclonedx: Callable[..., bytes]
) -> None:
    outside, inside = start_registry(), start_registry()
    old = publish_database(
        dated(compiled, tmp_path / "old", NOW - timedelta(days=9)), parse_repository(f"{outside}/trivy-db")
    )
    mirror = parse_repository(f"{inside}/mirror/trivy-db")
    cache = tmp_path / "cache"
    fetched = fetch_database(parse_repository(f"{outside}/trivy-db"), cache, now=NOW, pin=False, mirror=mirror)
    assert fetched.reference == old
    assert fetched.mirrored is not None
    assert fetched.mirrored.digest == old.digest
    assert read_pin(cache / TRIVY) is None

    publish_database(dated(compiled, tmp_path / "new", NOW), mirror)
    newer = fetch_database(mirror, cache, now=NOW, pin=False)
    ((used,), _) = find_databases(trivy, cache, NOWHERE, now=NOW, download=False, shared=NOWHERE)
    assert used.description.updated == NOW
    assert newer.installed.source is not None
    assert newer.installed.source.reference == str(newer.reference)

    pinned = fetch_database(fetched.mirrored, cache, now=NOW, pin=False)
    assert pinned.pinned
    ((used,), _) = find_databases(trivy, cache, NOWHERE, now=NOW + timedelta(days=30), shared=NOWHERE)
    assert used.description.updated == NOW - timedelta(days=9)
    assert len(installed((cache / TRIVY,), [])) == 2
    assert trivy.match(cyclonedx("pillow==9.4.0"), [used]).vulnerabilities

    assert not fetch_database(mirror, cache, now=NOW, pin=False).pinned
    ((used,), _) = find_databases(trivy, cache, NOWHERE, now=NOW, download=False, shared=NOWHERE)
    assert used.description.updated == NOW


@pytest.mark.acceptance
def test_what_cannot_be_used_changes_nothing(
    start_registry: StartRegistry, compiled: Path, tmp_path: Path
) -> None:
    host, cache = start_registry(), tmp_path / "cache"
    good = publish_database(dated(compiled, tmp_path / "good", NOW), parse_repository(f"{host}/db"))
    fetch_database(good, cache, now=NOW, pin=True)
    before = (cache / TRIVY / PIN).read_bytes()
    publish_database(dated(compiled, tmp_path / "odd", NOW, version=3), parse_repository(f"{host}/odd"))
    with pytest.raises(InvalidInput, match="schema 3, not 2"):
        fetch_database(parse_repository(f"{host}/odd"), cache, now=NOW, pin=False)
    with pytest.raises(RegistryError):
        fetch_database(parse_repository(f"{host}/none"), cache, now=NOW, pin=False)
    with pytest.raises(RegistryError):
        fetch_database(Reference(host, "db", digest=Digest.of(b"other")), cache, now=NOW, pin=False)
    assert (cache / TRIVY / PIN).read_bytes() == before
    assert len(list((cache / TRIVY).glob("[0-9]*"))) == 1
    with RegistryClient(host) as client:
        assert client.tags("db") == ("2",)


def test_a_pin_to_what_is_not_there_is_told_and_nothing_else_is_used(
    compiled: Path, tmp_path: Path, trivy: Trivy
) -> None:
    place = tmp_path / "cache" / TRIVY
    dated(compiled, place / "20261122T000000Z" / "db", NOW)
    (place / PIN).write_text('{"reference": "example.com/db@sha256:00", "folder": "20250101T000000Z"}')
    databases, notes = find_databases(trivy, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)
    assert databases == ()
    assert "The pinned database example.com/db@sha256:00 is not there" in notes[0]
    (place / PIN).write_text("{")
    assert find_databases(trivy, tmp_path / "cache", NOWHERE, now=NOW, shared=NOWHERE)[0] == ()
