"""Whether an image's layers are the ones its config names.

A registry checks that a blob has the digest it was stored under, but nobody checks a config's diffIDs until
a runtime unpacks the layers. What was once learnt of a layer is kept by its diffID, so a config that names
a harmless layer's diffID for another blob would have that blob go unread.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import zstandard
from isal import igzip, igzip_lib

from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.layout import CHUNK, Layout
from compliance.oci.manifest import Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP: Final = b"\x1f\x8b"
_ISAL_ERRORS: Final = (cast("type[Exception]", igzip_lib.IsalError),)  # its stub calls the class an instance
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def check_diff_ids(layout: Layout, digest: Digest, memory: Path) -> None:
    """Raise InvalidInput unless every layer of the image `digest`, unpacked, has the diffID its config gives.

    `memory` is a directory that keeps the diffIDs of blobs that were unpacked before.
    """
    manifest, config = layout.image(digest)
    if len(manifest.layers) != len(config.rootfs.diff_ids):
        raise InvalidInput(
            f"image {digest} has {len(manifest.layers)} layers, its config names {len(config.rootfs.diff_ids)}",
            at=Location(layout.root),
        )
    for layer, claimed in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        actual = _diff_id(layout, layer, claimed, memory)
        if actual != claimed:
            raise InvalidInput(
                f"layer {layer.digest} unpacks to {actual}, but the image's config says {claimed}",
                at=Location(layout.root),
                remedy="Build the image again; a runtime would refuse to unpack it.",
            )


def _diff_id(layout: Layout, layer: Descriptor, claimed: Digest, memory: Path) -> Digest:
    known = memory / layer.digest.algorithm / layer.digest.hex
    try:
        return Digest(known.read_text())
    except (OSError, InvalidInput):
        pass
    actual = _unpacked(layout, layer.digest, claimed.algorithm)
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=known.parent, prefix=".new-", delete=False) as stream:
        stream.write(actual)
    Path(stream.name).replace(known)
    return actual


def _unpacked(layout: Layout, blob: Digest, algorithm: str) -> Digest:
    """The diffID of a blob, whose own digest is checked on the way."""
    unpacked = hashlib.new(algorithm)
    try:
        with layout.path(blob).open("rb") as raw:
            packed = _Hashing(raw, blob.algorithm)
            with _decompressed(packed, _start(raw)) as stream:
                while chunk := stream.read(CHUNK):
                    unpacked.update(chunk)
            while packed.read(CHUNK):
                pass
    except FileNotFoundError as error:
        raise InvalidInput(f"layer {blob} is missing", at=Location(layout.root)) from error
    except (EOFError, OSError, zlib.error, zstandard.ZstdError, *_ISAL_ERRORS) as error:
        raise InvalidInput(f"layer {blob} cannot be unpacked: {error}", at=Location(layout.root)) from error
    if packed.state.hexdigest() != blob.hex:
        raise InvalidInput(f"blob {blob} has been altered", at=Location(layout.root))
    return Digest(f"{algorithm}:{unpacked.hexdigest()}")


def _start(raw: BinaryIO) -> bytes:
    start = raw.read(4)
    raw.seek(0)
    return start


def _decompressed(packed: _Hashing, start: bytes) -> AbstractContextManager[BinaryIO]:
    """The tar inside a layer, told by its first bytes: gzip, zstd or plain."""
    stream = cast(BinaryIO, packed)
    if start.startswith(_GZIP):
        return cast("AbstractContextManager[BinaryIO]", igzip.IGzipFile(fileobj=stream, mode="rb"))
    if start.startswith(_ZSTD):
        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True, closefd=False)
    return nullcontext(stream)


class _Hashing(io.RawIOBase):
    """Hands on what it reads, and keeps its hash."""

    def __init__(self, raw: BinaryIO, algorithm: str) -> None:
        self._raw = raw
        self.state = hashlib.new(algorithm)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as view:
            data = self._raw.read(len(view))
            view[: len(data)] = data
        self.state.update(data)
        return len(data)
