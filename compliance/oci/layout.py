"""The on-disk OCI image layout (image specification v1.1, "Image Layout"): blobs by digest and an index.json."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    parse_config,
    parse_manifest,
)

CHUNK: Final = 1 << 20
REFERENCE_NAME: Final = "org.opencontainers.image.ref.name"


class Layout:
    """A directory in OCI layout. Blobs appear under their digest only when whole and true."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> Layout:
        """Make the directory an OCI layout, keeping what is there."""
        (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        _replace(root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        layout = cls(root)
        if not (root / "index.json").exists():
            layout.write_index(())
        return layout

    def path(self, digest: Digest) -> Path:
        """Where the blob with this digest is, or would be."""
        return self.root / "blobs" / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def write_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Store `data` as a blob and describe it. What else stands under its digest is replaced."""
        digest = Digest.of(data)
        target = self.path(digest)
        if not target.is_file() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, data)
        return Descriptor(media_type=media_type, digest=digest, size=len(data))

    def add_file(self, source: Path, digest: Digest) -> None:
        """Make `source`, known to have this digest, a blob: by hard link where the file system allows it."""
        target = self.path(digest)
        if target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except FileExistsError:
            return
        except OSError:
            with source.open("rb") as stream:
                self.write_stream(iter(lambda: stream.read(CHUNK), b""), digest)

    def write_stream(self, chunks: Iterable[bytes], digest: Digest) -> int:
        """Store a stream that must have this digest; returns its size. Raises InvalidInput when it has not."""
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        state = hashlib.new(digest.algorithm)
        size = 0
        with _fresh(target) as stream:
            for chunk in chunks:
                state.update(chunk)
                size += len(chunk)
                stream.write(chunk)
            if state.hexdigest() != digest.hex:
                raise InvalidInput(f"content does not match its digest {digest}: it is {state.hexdigest()}")
        return size

    def read_bytes(self, digest: Digest) -> bytes:
        """A small blob, checked against its digest. Raises InvalidInput when it is missing or altered."""
        try:
            data = self.path(digest).read_bytes()
        except OSError as error:
            raise InvalidInput(f"blob {digest} is missing", at=Location(self.root)) from error
        if hashlib.new(digest.algorithm, data).hexdigest() != digest.hex:
            raise InvalidInput(f"blob {digest} has been altered", at=Location(self.root))
        return data

    def manifest(self, digest: Digest) -> Manifest | Index:
        return parse_manifest(self.read_bytes(digest))

    def image(self, digest: Digest) -> tuple[Manifest, ImageConfig]:
        """The manifest and config of the image with this manifest digest."""
        manifest = self.manifest(digest)
        if not isinstance(manifest, Manifest):
            raise InvalidInput(f"{digest} is an index, not one image", at=Location(self.root))
        return manifest, parse_config(self.read_bytes(manifest.config.digest))

    def write_index(self, manifests: Iterable[Descriptor]) -> None:
        """Replace index.json, the layout's list of roots."""
        _replace(self.root / "index.json", Index(manifests=tuple(manifests)).to_json())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others that ask for the same out while the block runs, as when blobs are added and removed."""
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def remove_unreferenced(self) -> int:
        """Remove every blob that nothing in index.json leads to; returns how many bytes that were."""
        wanted = set(self._referenced(self.index().manifests))
        removed = 0
        for path in (self.root / "blobs").glob("*/*"):
            if f"{path.parent.name}:{path.name}" not in wanted:
                removed += path.stat().st_size
                path.unlink()
        return removed

    def _referenced(self, descriptors: Iterable[Descriptor]) -> Iterator[Digest]:
        for descriptor in descriptors:
            yield descriptor.digest
            if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES and self.has(descriptor.digest):
                document = self.manifest(descriptor.digest)
                if isinstance(document, Index):
                    yield from self._referenced(document.manifests)
                else:
                    yield from (blob.digest for blob in (document.config, *document.layers))

    def index(self) -> Index:
        """The layout's list of roots. Raises InvalidInput when the directory is no OCI layout."""
        try:
            version = json.loads((self.root / "oci-layout").read_bytes())["imageLayoutVersion"]
            raw = (self.root / "index.json").read_bytes()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput("is not an OCI image layout", at=Location(self.root)) from error
        if version != "1.0.0":
            raise InvalidInput(f"unknown OCI layout version {version!r}", at=Location(self.root))
        index = parse_manifest(raw)
        if not isinstance(index, Index):
            raise InvalidInput("index.json is not an index", at=Location(self.root))
        return index


def _replace(target: Path, data: bytes) -> None:
    with _fresh(target) as stream:
        stream.write(data)


@contextmanager
def _fresh(target: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `target` that becomes it when the block ends well, and vanishes otherwise."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
