"""What the cache writes down about its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from builder.layers.tar import LAYOUT_VERSION, Compression
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer whose blob is in the cache at `path`. `tar_size` is in bytes, uncompressed."""

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the bytes of a layer depend on, besides the layout version.

    `kind` names the function that makes it (`wheels`, `app`, `debian`), `inputs` are digests and whatever
    else that function reads, in its order. `prefix` and `interpreter` are of the environment inside.
    """

    kind: str
    inputs: tuple[str, ...]
    prefix: str = ""
    interpreter: str = ""
    compression: Compression = Compression.GZIP

    @property
    def key(self) -> str:
        """A name for the layer that these inputs give, as 64 hexadecimal digits."""
        parts = [
            str(LAYOUT_VERSION),
            self.kind,
            list(self.inputs),
            self.prefix,
            self.interpreter,
            self.compression.writer,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Seen(BaseModel):
    """A blob's size in bytes and modification time in nanoseconds when its digest was found true."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    mtime_ns: int


class Known(BaseModel):
    """A file outside the cache: inode, size and times, and the digest it had with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: list[int]
    digest: Digest


class LayerRecord(BaseModel):
    """The layer that a recipe gave. `tar_size` is in bytes, uncompressed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int


def read_record(path: Path, model: type[ModelT]) -> ModelT | None:
    """A record, or None when there is none that can be read: it will be made again."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
