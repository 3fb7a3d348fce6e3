"""Images of random bytes to push at a gate."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_LAYER_TAR,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFs,
    RuntimeConfig,
)

LAYERS: Final = 10
CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an OCI layout. The same layers but the last make the next one."""

    layout: Layout
    manifest: Manifest
    descriptor: Descriptor

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        return (self.manifest.config, *self.manifest.layers)

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


def make_image(layout: Layout, megabytes: int, kept: Sequence[Descriptor] = ()) -> Image:
    each = (megabytes << 20) // LAYERS
    return _image(layout, (*kept, *(_layer(layout, each) for _ in range(LAYERS - len(kept)))))


def image_of_many_files(layout: Layout, count: int) -> Image:
    """One layer of tiny files, as a Python environment is: what takes longest to read by the byte."""
    with tempfile.TemporaryFile(dir=layout.root) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(count):
                member = tarfile.TarInfo(f"opt/venv/lib/package-{number % 500}/module_{number}.py")
                member.size = 20
                archive.addfile(member, io.BytesIO(os.urandom(20)))
        stream.seek(0)
        layer = layout.write_bytes(stream.read(), OCI_LAYER_TAR)
    return _image(layout, (layer,))


def _image(layout: Layout, layers: tuple[Descriptor, ...]) -> Image:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(user="65532"),
        rootfs=RootFs(diff_ids=tuple(layer.digest for layer in layers)),
    )
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    return Image(layout, manifest, layout.write_bytes(manifest.to_json(), OCI_MANIFEST))


def _layer(layout: Layout, size: int) -> Descriptor:
    """A tar of eight files of random bytes; uncompressed, so that its digest is its diffID."""
    with tempfile.NamedTemporaryFile(dir=layout.root) as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for number in range(8):
                member = tarfile.TarInfo(f"opt/data/{os.urandom(4).hex()}-{number}")
                member.size = size // 8
                archive.addfile(member, _Random(member.size))
        stream.flush()
        stream.seek(0)
        digest = Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())
        layout.add_file(Path(stream.name), digest)
        return Descriptor(media_type=OCI_LAYER_TAR, digest=digest, size=Path(stream.name).stat().st_size)


class _Random(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size
        self._block = os.urandom(CHUNK)

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._left, CHUNK)
        self._left -= count
        return self._block[:count]
