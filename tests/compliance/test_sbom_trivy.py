"""What is written, Trivy reads: every package with its layer, and advisories by Debian source package."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compliance.bases import debian_purl
from compliance.evidence import Database
from compliance.inventory import Ecosystem, Inventory, OperatingSystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.sbom import to_cyclonedx
from compliance.scan.bolt import write_bolt
from compliance.scan.trivy import Trivy, TrivyDatabase

pytestmark = pytest.mark.acceptance

DEBIAN = OperatingSystem("debian", "12")
LAYER = Digest.of(b"layer")


QUIETLY = ("--quiet", "--skip-db-update", "--offline-scan", "--skip-version-check")
ALL_PACKAGES = ("--format", "json", "--list-all-pkgs", "--scanners", "license")


def debian(name: str, version: str, source: str, source_version: str) -> Package:
    return Package(
        debian_purl(name, version, "amd64", DEBIAN),
        name,
        version,
        Ecosystem.DEBIAN,
        Origin.BASE,
        layer=LAYER,
        source_name=source,
        source_version=source_version,
        architecture="amd64",
    )


INVENTORY = Inventory(
    DEBIAN,
    (
        debian("libssl3", "3.0.11-1~deb12u2", "openssl", "3.0.11-1~deb12u2"),
        debian("libstdc++6", "12.2.0-14", "gcc-12", "12.2.0-14"),
        debian("login", "1:4.13+dfsg1-1", "shadow", "1:4.13+dfsg1-1"),
        debian("libgcc-s1", "12.2.0-14+b1", "gcc-12", "12.2.0-14"),
        Package("pkg:pypi/jinja2@2.0", "jinja2", "2.0", Ecosystem.PYPI, Origin.DEPENDENCY, layer=LAYER),
        Package("pkg:pypi/six@1.16", "six", "1.16", Ecosystem.PYPI, Origin.DEPENDENCY),
    ),
)


def entry(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.fixture
def database(tmp_path: Path) -> TrivyDatabase:
    cache = tmp_path / "database"
    (cache / "db").mkdir(parents=True)
    ids = ("CVE-2099-0001", "CVE-2099-0002", "CVE-2099-0003", "CVE-2099-0004")
    write_bolt(
        cache / "db" / "trivy.db",
        {
            b"debian 12": {
                b"openssl": {b"CVE-2099-0001": entry(FixedVersion="3.0.11-1~deb12u3")},
                b"shadow": {
                    b"CVE-2099-0002": entry(FixedVersion="1:4.13+dfsg1-2"),
                    b"CVE-2099-0004": entry(FixedVersion="4.99"),  # before epoch 1, whatever the number
                },
            },
            b"pip::test": {
                b"jinja2": {b"CVE-2099-0003": entry(VulnerableVersions=["<3.0"], PatchedVersions=["3.0"])}
            },
            b"vulnerability": {each.encode(): entry(Title=each, Severity="HIGH") for each in ids},
            b"data-source": {
                b"debian 12": entry(ID="debian", Name="Debian", URL=""),
                b"pip::test": entry(ID="test", Name="Test", URL=""),
            },
        },
    )
    times = dict.fromkeys(("UpdatedAt", "DownloadedAt"), "2026-01-01T00:00:00Z")
    metadata = {"Version": 2, "NextUpdate": "2099-01-01T00:00:00Z", **times}
    (cache / "db" / "metadata.json").write_text(json.dumps(metadata))
    return TrivyDatabase("test", cache, Database("test", Digest.of(b""), datetime(2026, 1, 1, tzinfo=UTC)))


def test_trivy_finds_every_package_where_we_say_it_is(tmp_path: Path) -> None:
    sbom = tmp_path / "sbom.cdx.json"
    sbom.write_bytes(to_cyclonedx(INVENTORY, name="serving/iris"))
    trivy = Trivy.find(tmp_path / "cache")
    said = subprocess.run(
        [trivy.binary, "sbom", *QUIETLY, "--cache-dir", tmp_path / "empty", *ALL_PACKAGES, sbom],
        check=True,
        capture_output=True,
    )
    report = json.loads(said.stdout)
    assert report["Metadata"]["OS"] == {"Family": "debian", "Name": "12"}
    found = {
        (package["Identifier"]["PURL"], package.get("Layer", {}).get("DiffID"))
        for result in report["Results"]
        for package in result.get("Packages", [])
    }
    assert found == {(package.purl, package.layer) for package in INVENTORY.packages}


def test_trivy_matches_debian_packages_by_source_and_python_packages_by_name(
    tmp_path: Path, database: TrivyDatabase
) -> None:
    scan = Trivy.find(tmp_path / "cache").match(to_cyclonedx(INVENTORY, name="serving/iris"), [database])
    assert {(found.id, found.purl) for found in scan.vulnerabilities} == {
        ("CVE-2099-0001", INVENTORY.packages[0].purl),
        ("CVE-2099-0002", INVENTORY.packages[2].purl),
        ("CVE-2099-0003", "pkg:pypi/jinja2@2.0"),
    }
