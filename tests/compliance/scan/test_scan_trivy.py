"""Trivy itself, on inventories, directories and images made on the spot."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compliance.errors import InvalidInput, Unavailable
from compliance.evidence import Severity, VulnerabilityScan
from compliance.inventory import Ecosystem, Inventory, OperatingSystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Manifest,
)
from compliance.sbom import to_cyclonedx
from compliance.scan.advisories import compile_database, read_advisories
from compliance.scan.process import run
from compliance.scan.trivy import Trivy, TrivyDatabase

pytestmark = pytest.mark.acceptance  # Trivy, in nearly each

PROGRAMS = Path(__file__).parent / "data" / "programs"
TOKEN = b'token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"\n'
NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": [TOKEN.decode()]}]}).encode()
DPKG = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1~deb12u2)
Version: 3.0.11-1~deb12u2
Maintainer: Somebody
Description: TLS

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2024a-0+deb12u1
Maintainer: Somebody
Description: time zones
"""
BASE_LAYER = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "etc/debian_version": b"12.5\n",
    "var/lib/dpkg/status": DPKG,
}
SITE = "opt/venv/lib/python3.11/site-packages"
VENV_LAYER = {
    f"{SITE}/ruamel.yaml-0.18.6.dist-info/METADATA": (
        b"Metadata-Version: 2.4\nName: ruamel.yaml\nVersion: 0.18.6\nLicense-Expression: MIT\n\n" + TOKEN
    ),
    f"{SITE}/ruamel/tests/test_dump.py": TOKEN,
}
APP_LAYER = {
    "app/.env": b"MODE=prod\n" + TOKEN,
    "app/config.py": TOKEN,
    "app/tests/test_app.py": TOKEN,
    "app/README.md": TOKEN,
    "app/notebooks/train.ipynb": NOTEBOOK,
}
TOKEN_FILES = {f"/{path}" for path in APP_LAYER}


def origin_of(layer: Digest | None, path: str) -> Origin:
    return Origin.DEPENDENCY if path.startswith("/opt/venv/") else Origin.APP


@pytest.fixture
def database(tmp_path: Path) -> TrivyDatabase:
    folder = tmp_path / "osv"
    folder.mkdir()
    for number, (name, ecosystem, fixed) in enumerate(
        [("pillow", "PyPI", "10.2.0"), ("openssl", "Debian:12", "3.0.14-1~deb12u2")]
    ):
        advisory = {
            "id": f"ACME-{number}",
            "aliases": [f"CVE-2024-{number}"],
            "modified": "2024-05-01T00:00:00Z",
            "published": "2024-01-19T21:30:35Z",
            "summary": f"What can happen to {name}.",
            "affected": [
                {
                    "package": {"ecosystem": ecosystem, "name": name},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                }
            ],
            "references": [{"type": "WEB", "url": f"https://example.org/{number}"}],
            "database_specific": {"severity": "CRITICAL"},
        }
        (folder / f"ACME-{number}.json").write_text(json.dumps(advisory))
    return compile_database(read_advisories(folder), tmp_path / "advisories")


def test_version(trivy: Trivy) -> None:
    assert trivy.version().split(".")[0].isdigit()


def test_a_missing_program_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Trivy is not at /nowhere/trivy") as caught:
        Trivy.find(tmp_path, Path("/nowhere/trivy"))
    assert caught.value.remedy is not None


def test_match_tells_all_there_is_to_know(
    trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    scan = trivy.match(cyclonedx("pillow==9.4.0", "numpy==2.0"), [database])
    (found,) = scan.vulnerabilities
    assert found.id == "CVE-2024-0"
    assert found.aliases == ("ACME-0",)
    assert (found.purl, found.package, found.installed) == ("pkg:pypi/pillow@9.4.0", "pillow", "9.4.0")
    assert found.fixed == ("10.2.0",)
    assert found.severity is Severity.CRITICAL
    assert found.title == "What can happen to pillow."
    assert found.database == "advisories"
    assert found.published == datetime(2024, 1, 19, 21, 30, 35, tzinfo=UTC)
    assert found.url == "https://example.org/0"
    assert scan.databases == (database.description,)


def test_our_own_sbom_is_understood(trivy: Trivy, database: TrivyDatabase) -> None:
    purl = "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12"
    library = Package(
        purl,
        "libssl3",
        "3.0.11-1~deb12u2",
        Ecosystem.DEBIAN,
        Origin.BASE,
        source_name="openssl",
        source_version="3.0.11-1~deb12u2",
        architecture="amd64",
    )
    python = Package("pkg:pypi/pillow@9.4.0", "pillow", "9.4.0", Ecosystem.PYPI, Origin.DEPENDENCY)
    inventory = Inventory(OperatingSystem("debian", "12"), (library, python))
    scan = trivy.match(to_cyclonedx(inventory, name="serving/iris"), [database])
    assert [(item.purl, item.id) for item in scan.vulnerabilities] == [
        (purl, "CVE-2024-1"),
        ("pkg:pypi/pillow@9.4.0", "CVE-2024-0"),
    ]


def test_what_two_databases_know_is_reported_once(
    trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    scan = trivy.match(cyclonedx("pillow==9.4.0"), [database, database])
    assert len(scan.vulnerabilities) == 1
    assert len(scan.databases) == 2


def test_without_a_database_nothing_is_decided(trivy: Trivy, cyclonedx: Callable[..., bytes]) -> None:
    with pytest.raises(Unavailable, match="no vulnerability database") as caught:
        trivy.match(cyclonedx("pillow==9.4.0"), [])
    assert "advisories" in str(caught.value.remedy)


def test_a_database_that_vanished_is_unavailable_not_empty(
    trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    (database.cache / "db" / "trivy.db").unlink()
    (database.cache / "db" / "metadata.json").unlink()
    with pytest.raises(Unavailable, match="Trivy failed"):
        trivy.match(cyclonedx("pillow==9.4.0"), [database])


@pytest.mark.parametrize("raw", [b"", b"[]", b"no json", b'{"components": 7}'])
def test_what_is_no_sbom_is_invalid_input(trivy: Trivy, database: TrivyDatabase, raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a CycloneDX"):
        trivy.match(raw, [database])


def test_the_users_own_trivy_configuration_changes_nothing(
    trivy: Trivy,
    database: TrivyDatabase,
    cyclonedx: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "trivy.yaml").write_text("severity: [LOW]\n")
    (tmp_path / ".trivyignore").write_text("ACME-0\nCVE-2024-0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIVY_SEVERITY", "LOW")
    monkeypatch.setenv("TRIVY_IGNORE_UNFIXED", "true")
    assert len(trivy.match(cyclonedx("pillow==9.4.0"), [database]).vulnerabilities) == 1


def test_the_last_word_of_a_failing_program_is_passed_on(
    tmp_path: Path, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    with pytest.raises(Unavailable, match=r"Trivy failed \(sbom\): run error: no such host"):
        Trivy(PROGRAMS / "fails", tmp_path).match(cyclonedx("pillow==9.4.0"), [database])


def test_a_report_of_another_kind_is_unavailable(
    tmp_path: Path, database: TrivyDatabase, cyclonedx: Callable[..., bytes]
) -> None:
    with pytest.raises(Unavailable, match="report cannot be understood: SchemaVersion"):
        Trivy(PROGRAMS / "says-nonsense", tmp_path).match(cyclonedx("pillow==9.4.0"), [database])


def test_a_program_that_hangs_is_given_up() -> None:
    with pytest.raises(Unavailable, match="did not finish within 0 s"):
        run(PROGRAMS / "hangs", ["sbom"], timeout=0.2)


def test_secrets_are_found_wherever_a_project_keeps_them(trivy: Trivy, tmp_path: Path) -> None:
    for path, data in APP_LAYER.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "app/weights.bin").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "app/docs.py").write_text('key = "AKIAIOSFODNN7EXAMPLE"\n')
    found = trivy.find_secrets(tmp_path / "app", Origin.APP)
    assert [f"/app/{secret.path}" for secret in found] == sorted(TOKEN_FILES)
    assert {secret.rule for secret in found} == {"github-pat"}
    environment = next(secret for secret in found if secret.path == ".env")
    assert (environment.line, environment.severity, environment.origin) == (2, Severity.CRITICAL, Origin.APP)
    assert all("ghp_" not in secret.match and "***" in secret.match for secret in found)


def test_a_clean_directory_has_no_secrets(trivy: Trivy, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('hello')\n")
    assert trivy.find_secrets(tmp_path, Origin.APP) == ()


def test_secrets_of_a_directory_that_is_not_there(trivy: Trivy, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such directory"):
        trivy.find_secrets(tmp_path / "missing", Origin.APP)


@pytest.mark.parametrize(
    ("layer_type", "config_type", "manifest_type"),
    [
        (OCI_LAYER_GZIP, OCI_CONFIG, OCI_MANIFEST),
        (OCI_LAYER_ZSTD, OCI_CONFIG, OCI_MANIFEST),
        (OCI_LAYER_TAR, OCI_CONFIG, OCI_MANIFEST),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", DOCKER_CONFIG, DOCKER_MANIFEST),
    ],
    ids=["gzip", "zstd", "tar", "docker"],
)
def test_an_image_is_read_from_its_bytes(
    trivy: Trivy,
    tmp_path: Path,
    add_image: Callable[..., Digest],
    layer_type: str,
    config_type: str,
    manifest_type: str,
) -> None:
    digest = add_image(
        tmp_path / "layout",
        [BASE_LAYER, VENV_LAYER, APP_LAYER],
        layer_type=layer_type,
        config_type=config_type,
        manifest_type=manifest_type,
        environment=("PATH=/usr/bin", "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"),
    )
    _, config = Layout(tmp_path / "layout").image(digest)
    base, venv, app = config.rootfs.diff_ids
    reading = trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of)
    assert reading.os == OperatingSystem("debian", "12")
    ssl, zones, yaml = reading.packages
    assert ssl.purl == "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12"
    assert (ssl.source_name, ssl.source_version, ssl.layer) == ("openssl", "3.0.11-1~deb12u2", base)
    assert (zones.version, zones.source_name) == ("1:2024a-0+deb12u1", "tzdata")
    assert (yaml.purl, yaml.name, yaml.licence) == ("pkg:pypi/ruamel-yaml@0.18.6", "ruamel-yaml", "MIT")
    assert (yaml.layer, yaml.origin, yaml.ecosystem) == (venv, Origin.DEPENDENCY, Ecosystem.PYPI)
    files = [secret for secret in reading.secrets if secret.layer is not None]
    assert {secret.path for secret in files} == TOKEN_FILES
    assert {secret.layer for secret in files} == {app}
    (environment,) = (secret for secret in reading.secrets if secret.layer is None)
    assert (environment.path, environment.rule) == ("image config", "hugging-face-access-token")
    assert trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of) == reading


def test_an_sbom_inside_an_image_installs_nothing(
    trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest], cyclonedx: Callable[..., bytes]
) -> None:
    files = {**VENV_LAYER, "app/app.cdx.json": cyclonedx("claimed==1.0", debian={"openssl": "3.0.11-1"})}
    digest = add_image(tmp_path / "layout", [files])
    reading = trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of)
    assert [package.name for package in reading.packages] == ["ruamel-yaml"]


def test_relative_paths_mean_what_they_mean_here(
    tmp_path: Path,
    database: TrivyDatabase,
    cyclonedx: Callable[..., bytes],
    add_image: Callable[..., Digest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = add_image(tmp_path / "layout", [APP_LAYER])
    monkeypatch.chdir(tmp_path)
    trivy = Trivy.find(Path("cache"))
    near = replace(database, cache=database.cache.relative_to(tmp_path))
    assert len(trivy.match(cyclonedx("pillow==9.4.0"), [near]).vulnerabilities) == 1
    assert len(trivy.read_image(Path("layout"), digest, origin_of=origin_of).secrets) == len(APP_LAYER)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".env").write_bytes(TOKEN)
    assert len(trivy.find_secrets(Path("project"), Origin.APP)) == 1


def test_what_is_known_of_a_layer_is_kept(trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]) -> None:
    def keys() -> set[bytes]:
        return set(re.findall(rb"sha256:[0-9a-f]{64}", (trivy.cache / "fanal" / "fanal.db").read_bytes()))

    digest = add_image(tmp_path / "layout", [BASE_LAYER, APP_LAYER])
    before = trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of)
    kept = keys()
    assert trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of) == before
    assert keys() == kept, "a second reading analyses nothing anew"


def test_the_image_asked_for_is_the_one_read(
    trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]
) -> None:
    layouts = tmp_path / "layout"
    first = add_image(layouts, [BASE_LAYER])
    second = add_image(layouts, [VENV_LAYER])
    names = [
        [package.name for package in trivy.read_image(layouts, each, origin_of=origin_of).packages]
        for each in (second, first)
    ]
    assert names == [["ruamel-yaml"], ["libssl3", "tzdata"]]


def test_images_are_read_by_several_at_once(
    trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]
) -> None:
    digests = [add_image(tmp_path / "layout", [BASE_LAYER, {"app/n": b"%d" % number}]) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        readings = list(
            pool.map(lambda digest: trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of), digests)
        )
    assert [len(reading.packages) for reading in readings] == [2] * 6


def test_a_layer_that_lies_about_its_diff_id_is_not_taken_for_the_one_it_names(
    trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]
) -> None:
    honest = add_image(tmp_path / "layout", [{"app/clean.py": b"print('hello')\n"}])
    trivy.read_image(tmp_path / "layout", honest, origin_of=origin_of)
    _, config = Layout(tmp_path / "layout").image(honest)
    lying = add_image(tmp_path / "layout", [APP_LAYER], diff_ids=config.rootfs.diff_ids)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="but the image's config says"):
            trivy.read_image(tmp_path / "layout", lying, origin_of=origin_of)


def test_an_altered_layer_is_refused(trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]) -> None:
    digest = add_image(tmp_path / "layout", [APP_LAYER])
    layout = Layout(tmp_path / "layout")
    manifest = layout.manifest(digest)
    assert isinstance(manifest, Manifest)
    path = layout.path(manifest.layers[0].digest)
    raw = path.read_bytes()
    compressed_anew = raw + gzip.compress(b"")
    for altered, found_out in ((raw + b"more", "cannot be decompressed"), (compressed_anew, "has been altered")):
        path.write_bytes(altered)
        with pytest.raises(InvalidInput, match=found_out):
            trivy.read_image(layout.root, digest, origin_of=origin_of)
    path.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        trivy.read_image(layout.root, digest, origin_of=origin_of)


def test_a_config_with_too_few_diff_ids_is_refused(
    trivy: Trivy, tmp_path: Path, add_image: Callable[..., Digest]
) -> None:
    digest = add_image(tmp_path / "layout", [BASE_LAYER, APP_LAYER], diff_ids=[Digest.of(b"")])
    with pytest.raises(InvalidInput, match="has 2 layers, its config names 1"):
        trivy.read_image(tmp_path / "layout", digest, origin_of=origin_of)


def test_scans_are_plain_values(trivy: Trivy, database: TrivyDatabase, cyclonedx: Callable[..., bytes]) -> None:
    assert trivy.match(cyclonedx("numpy==2.0"), [database]) == VulnerabilityScan((), (database.description,))
