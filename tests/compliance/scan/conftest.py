"""What the tests of the scan room share: Trivy, and images made on the spot."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import zstandard

from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFs,
    RuntimeConfig,
)
from compliance.scan.trivy import Trivy

Files = Mapping[str, bytes]
COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    OCI_LAYER_GZIP: lambda raw: gzip.compress(raw, mtime=0),
    OCI_LAYER_ZSTD: lambda raw: zstandard.compress(raw),
    OCI_LAYER_TAR: lambda raw: raw,
}


@pytest.fixture
def trivy(tmp_path: Path) -> Trivy:
    return Trivy.find(tmp_path / "trivy-cache")


@pytest.fixture
def add_image() -> Callable[..., Digest]:
    return _add_image


@pytest.fixture
def cyclonedx() -> Callable[..., bytes]:
    return _cyclonedx


def tar_of(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _add_image(
    root: Path,
    layers: Sequence[Files],
    *,
    layer_type: str = OCI_LAYER_GZIP,
    config_type: str = OCI_CONFIG,
    manifest_type: str = OCI_MANIFEST,
    environment: tuple[str, ...] = (),
    diff_ids: Sequence[Digest] | None = None,
) -> Digest:
    """Add an image to the layout `root`; `diff_ids` replaces what its config says of its layers."""
    layout = Layout.create(root)
    compress = COMPRESSORS.get(layer_type, COMPRESSORS[OCI_LAYER_GZIP])
    tars = [tar_of(files) for files in layers]
    blobs = tuple(layout.write_bytes(compress(raw), layer_type) for raw in tars)
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(env=environment),
        rootfs=RootFs(diff_ids=tuple(diff_ids or map(Digest.of, tars))),
    )
    manifest = Manifest(
        media_type=manifest_type, config=layout.write_bytes(config.to_json(), config_type), layers=blobs
    )
    described: Descriptor = layout.write_bytes(manifest.to_json(), manifest_type)
    layout.write_index([*layout.index().manifests, described])
    return described.digest


def _cyclonedx(*pins: str, debian: Mapping[str, str] | None = None) -> bytes:
    """An SBOM of `name==version` pins and, by source name, versions of Debian 12 packages."""
    components: list[object] = []
    for pin in pins:
        name, version = pin.split("==")
        components.append(_library(name, version, f"pkg:pypi/{name}@{version}", "python-pkg"))
    if debian:
        components.append({"type": "operating-system", "name": "debian", "version": "12", "bom-ref": "os"})
    for name, version in (debian or {}).items():
        purl = f"pkg:deb/debian/lib{name}@{version}?arch=amd64&distro=debian-12"
        properties = {"SrcName": name, "SrcVersion": version}
        components.append(_library(f"lib{name}", version, purl, "debian", properties))
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    return json.dumps(document).encode()


def _library(name: str, version: str, purl: str, kind: str, properties: Mapping[str, str] | None = None) -> object:
    marked = {"PkgType": kind, **(properties or {})}
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": purl,
        "bom-ref": f"ref:{purl}",
        "properties": [{"name": f"aquasecurity:trivy:{key}", "value": value} for key, value in marked.items()],
    }
