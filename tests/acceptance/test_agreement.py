"""The SBOM is written from the lock and the base. What scanners and clients find in the bytes agrees with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from compliance.scan.trivy import Trivy

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

Installed = tuple[str, str, str]


def claimed(project: Path) -> set[Installed]:
    """Ecosystem, name and version of everything in the SBOM that mlbuild wrote."""
    sbom = json.loads((project / ".mlbuild" / "sbom.cdx.json").read_bytes())
    found: set[Installed] = set()
    for component in sbom["components"]:
        purl = component.get("purl", "")
        if purl.startswith("pkg:pypi/"):
            found.add(("pypi", canonicalize_name(component["name"]), component["version"]))
        elif purl.startswith("pkg:deb/"):
            found.add(("deb", component["name"], component["version"]))
    return found


def scanned(*source: str) -> set[Installed]:
    """The same of what `trivy image` finds by itself."""
    trivy = Trivy.find(Path("unused"))
    report = subprocess.run(
        [
            *(
                str(trivy.binary),
                "image",
                "--quiet",
                "--format",
                "json",
                "--list-all-pkgs",
                "--scanners",
                "license",
            ),
            *("--skip-version-check", "--offline-scan", "--disable-telemetry", *source),
        ],
        capture_output=True,
        check=True,
        timeout=600,
    ).stdout
    found: set[Installed] = set()
    for result in json.loads(report).get("Results", []):
        for package in result.get("Packages", []):
            kind = {"python-pkg": "pypi", "debian": "deb"}[result["Type"]]
            name = canonicalize_name(package["Name"]) if kind == "pypi" else package["Name"]
            found.add((kind, name, full_version(package) if kind == "deb" else package["Version"]))
    return found


def full_version(package: dict[str, object]) -> str:
    epoch = f"{package['Epoch']}:" if package.get("Epoch") else ""
    release = f"-{package['Release']}" if package.get("Release") else ""
    return f"{epoch}{package['Version']}{release}"


def test_trivy_finds_in_the_layout_what_the_sbom_says_and_nothing_else(iris):
    found = scanned("--input", str(iris / ".mlbuild" / "image"))
    assert len(found) > 50
    assert found == claimed(iris)


def test_docker_pushes_and_pulls_through_the_gate_and_the_pulled_image_agrees(
    workplace, iris, gate, dockerd, tmp_path
):
    """The daemon compresses layers anew, so the manifest is another; config, evidence and packages still hold."""
    assert workplace.mlbuild("-C", str(iris), "push", gate.host).returncode == 0
    name = f"{gate.host}/serving/iris:docker"

    def docker(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", "--host", f"unix://{dockerd}", *arguments],
            env={**os.environ, "DOCKER_CONFIG": workplace.environment["DOCKER_CONFIG"]},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    archive = tmp_path / "image.tar"
    copy = [
        "skopeo",
        "copy",
        "--insecure-policy",
        f"oci:{iris}/.mlbuild/image",
        f"docker-archive:{archive}:{name}",
    ]
    subprocess.run(copy, capture_output=True, check=True, timeout=600)
    docker("load", "--input", str(archive))
    docker("push", name)
    docker("image", "rm", name)
    docker("pull", name)
    printed = docker(
        "run", "--rm", "--network", "none", name, "python", "-c", "import os, sklearn; print(os.getuid())"
    )
    assert printed.strip() == "65532"

    saved = tmp_path / "pulled.tar"
    docker("save", "--output", str(saved), name)
    assert scanned("--input", str(saved)) == claimed(iris)


def test_a_foreign_sbom_tool_finds_the_debian_packages_without_their_database(iris, tmp_path):
    """Scanners that are not Trivy read /var/lib/dpkg/status.d, one stanza a package, as in distroless images."""
    copied = tmp_path / "image"
    shutil.copytree(iris / ".mlbuild" / "image", copied)
    unpack = ["skopeo", "copy", "--insecure-policy", f"oci:{copied}", f"dir:{tmp_path}/dir"]
    subprocess.run(unpack, capture_output=True, check=True, timeout=600)
    manifest = json.loads((tmp_path / "dir" / "manifest.json").read_bytes())
    base = tmp_path / "dir" / manifest["layers"][0]["digest"].removeprefix("sha256:")
    listed = subprocess.run(["tar", "-tzf", base], capture_output=True, text=True, check=True).stdout.split()
    stanzas = [
        path
        for path in listed
        if path.startswith("var/lib/dpkg/status.d/") and not path.endswith((".md5sums", "/"))
    ]
    assert len(stanzas) == sum(1 for kind, _, _ in claimed(iris) if kind == "deb")
