"""A Trivy database as an OCI artifact, in the form that `trivy --db-repository` takes.

An image manifest with one layer, a gzipped tar of `trivy.db` and `metadata.json`. Trivy goes by the layer's
media type and title; it looks for the schema version as the tag where none is given.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.manifest import EMPTY_JSON, Descriptor, Index, Manifest

LAYER_TYPE: Final = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
CONFIG_TYPE: Final = "application/vnd.aquasec.trivy.config.v1+json"
TITLE: Final = "org.opencontainers.image.title"
TAG: Final = "2"
"""The schema version of the databases that can be used, which is the tag Trivy asks for."""

FILES: Final = ("trivy.db", "metadata.json")
MAX_FILE: Final = 8 << 30
"""Bytes a file in the artifact may have; Trivy's own database has about 1 GB."""

_CHUNK: Final = 1 << 20


def pack(folder: Path) -> tuple[Manifest, tuple[tuple[Descriptor, bytes], ...]]:
    """The artifact that holds the database files in `folder`, and its blobs. The same files give the same bytes.

    Raises InvalidInput when a file is missing.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in FILES:
            data = _read(folder / name)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    layer = gzip.compress(plain.getvalue(), mtime=0)
    described = Descriptor(
        media_type=LAYER_TYPE, digest=Digest.of(layer), size=len(layer), annotations={TITLE: "db.tar.gz"}
    )
    config = Descriptor(media_type=CONFIG_TYPE, digest=Digest.of(EMPTY_JSON), size=len(EMPTY_JSON))
    manifest = Manifest(artifact_type=CONFIG_TYPE, config=config, layers=(described,))
    return manifest, ((config, EMPTY_JSON), (described, layer))


def layer_in(document: Manifest | Index, name: str) -> Descriptor:
    """Where the database is in the artifact called `name`. Raises InvalidInput when there is none."""
    if isinstance(document, Manifest) and [one.media_type for one in document.layers] == [LAYER_TYPE]:
        return document.layers[0]
    raise InvalidInput(
        f"{name} is not a Trivy database: it has not one layer of type {LAYER_TYPE}",
        remedy="Name a repository such as ghcr.io/aquasecurity/trivy-db, or a mirror of it.",
    )


def unpack(layer: Path, target: Path) -> None:
    """Write the database files of the layer at `layer` into `target`, and nothing else.

    Raises InvalidInput when it is not a gzipped tar with both files in it.
    """
    target.mkdir(parents=True, exist_ok=True)
    wanted = set(FILES)
    try:
        with tarfile.open(layer, "r|gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                stream = archive.extractfile(member) if member.isreg() and name in wanted else None
                if stream is None:
                    continue
                if member.size > MAX_FILE:
                    raise InvalidInput(f"{name} is larger than {MAX_FILE:,} bytes", at=Location(layer))
                with (target / name).open("wb") as out:
                    while chunk := stream.read(_CHUNK):
                        out.write(chunk)
                wanted.discard(name)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"is not a whole gzipped tar: {error}", at=Location(layer)) from error
    if wanted:
        raise InvalidInput(f"holds no {' and no '.join(sorted(wanted))}", at=Location(layer))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
