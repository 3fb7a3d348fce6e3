"""Pushes a small real image, as the scenes of pages need them: one layer that says which packages are installed.

python -m tests.docs.small_image HOST/REPOSITORY:TAG [--package NAME==VERSION] [--user UID]
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

import click

from compliance.errors import ComplianceError
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, ImageConfig, Manifest, RootFs, RuntimeConfig
from compliance.oci.registry import Credentials, RegistryClient

SITE = "opt/venv/lib/python3.11/site-packages"


@click.command()
@click.argument("reference")
@click.option("--login", default="ci:ci-secret")
@click.option("--user", default="65532:65532")
@click.option("--package", "packages", multiple=True)
@click.option("--label", "labels", multiple=True)
def push(reference: str, login: str, user: str, packages: tuple[str, ...], labels: tuple[str, ...]) -> None:
    """Push an image of its own for each repository and tag; prints its digest."""
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    files = {"app/name": reference.partition("/")[2].encode()}
    for package in packages:
        name, _, version = package.partition("==")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n"
        files[f"{SITE}/{name}-{version}.dist-info/METADATA"] = metadata.encode()
    tar = _tar(files)
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout.create(Path(directory) / "image")
        layer = layout.write_bytes(gzip.compress(tar, mtime=0), OCI_LAYER_GZIP)
        runtime = RuntimeConfig(user=user, cmd=("/app/run",), labels=dict(one.split("=", 1) for one in labels))
        config = ImageConfig(
            architecture="amd64", os="linux", config=runtime, rootfs=RootFs(diff_ids=(Digest.of(tar),))
        )
        manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=(layer,))
        with RegistryClient(host, credentials=Credentials(*login.split(":", 1))) as registry:
            for blob in (manifest.config, *manifest.layers):
                path = layout.path(blob.digest)
                registry.push_blob(repository, blob.digest, blob.size, lambda path=path: path.open("rb"))
            try:
                click.echo(registry.put_manifest(repository, tag, manifest.to_json(), manifest.media_type))
            except ComplianceError as error:
                click.echo(str(error), err=True)
                raise SystemExit(1) from error


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


if __name__ == "__main__":
    push()
