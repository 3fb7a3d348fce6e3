"""What matters in one layer, as it is found and as it is remembered."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import posixpath
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import zstandard

from compliance.errors import InvalidInput
from compliance.inventory import Privilege
from compliance.oci import diffids, layer
from compliance.oci.diffids import Unpacked
from compliance.oci.digest import Digest

MAX_MEMORY: Final = 1 << 30
"""Bytes on disk; what was not asked for longest is forgotten first."""

_MAX_RECORD: Final = 512 << 20


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file of one layer. `path` is absolute."""

    path: str
    format: str
    unsafe: str | None
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FoundPrivilege:
    """A file of one layer that runs with other rights than its caller's. `path` is absolute."""

    path: str
    privileges: tuple[Privilege, ...]
    owner: int
    group: int


@dataclass(frozen=True, slots=True)
class LayerFiles:
    """What matters in one layer, and what it does to the layers below. Depends on the layer's diffID alone.

    `paths` are all its members and whiteouts: a file there hides a lower file. `trees` are those of them that
    hide whatever lies below them too: files, links and whiteouts. `opaque` are directories whose lower
    content is hidden. `links` are hard links: path and target.
    """

    models: tuple[FoundModel, ...]
    paths: frozenset[str]
    trees: frozenset[str]
    opaque: frozenset[str]
    links: tuple[tuple[str, str], ...]
    privileged: tuple[FoundPrivilege, ...] = ()

    def hides(self, path: str) -> bool:
        """Whether a file at `path` in a lower layer is gone once this layer lies on it."""
        if path in self.paths:
            return True
        parent = posixpath.dirname(path)
        while True:
            if parent in self.trees or parent in self.opaque:
                return True
            if parent == "/":
                return False
            parent = posixpath.dirname(parent)


class LayerMemory:
    """What was read of layers, by the digests of their blobs. May be used from several threads.

    Below `root` are `diff-ids`, which others may share, and `files`.
    """

    def __init__(self, root: Path, limit: int = MAX_MEMORY) -> None:
        self._diff_ids = root / "diff-ids"
        self._files = root / "files" / _reader()
        self._limit = limit
        self._lock = threading.Lock()

    def recall(self, blob: Digest) -> tuple[Unpacked, LayerFiles] | None:
        """What is known of a blob, when it was read by the same code."""
        unpacked = diffids.recall(self._diff_ids, blob)
        path = self._path(blob)
        if unpacked is None:
            return None
        try:
            raw = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=_MAX_RECORD)
            files = _from_json(json.loads(raw))
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError, InvalidInput, zstandard.ZstdError):
            return None
        return unpacked, files

    def remember(self, blob: Digest, unpacked: Unpacked, files: LayerFiles) -> None:
        """Keep what was read of a blob whose own digest is true."""
        path = self._path(blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = json.dumps(_to_json(files), separators=(",", ":")).encode()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as stream:
            stream.write(zstandard.ZstdCompressor(level=1).compress(raw))
        Path(stream.name).replace(path)
        diffids.remember(self._diff_ids, blob, unpacked)
        self._forget()

    def _path(self, blob: Digest) -> Path:
        return self._files / blob.algorithm / blob.hex

    def _forget(self) -> None:
        with self._lock:
            found = [(path.stat(), path) for path in self._files.glob("*/*") if path.is_file()]
            total = sum(status.st_size for status, _ in found)
            for status, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
                if total <= self._limit:
                    return
                path.unlink(missing_ok=True)
                total -= status.st_size


@functools.cache
def _reader() -> str:
    """A name for the code that reads layers: what another version of it found is not what this one would."""
    state = hashlib.sha256()
    for path in (Path(layer.__file__), *sorted(Path(__file__).parent.glob("*.py"))):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()[:16]


def _to_json(files: LayerFiles) -> dict[str, Any]:
    return {
        "models": [asdict(model) for model in files.models],
        "paths": sorted(files.paths),
        "trees": sorted(files.trees),
        "opaque": sorted(files.opaque),
        "links": files.links,
        "privileged": [asdict(file) for file in files.privileged],
    }


def _from_json(data: dict[str, Any]) -> LayerFiles:
    return LayerFiles(
        models=tuple(FoundModel(**model) for model in data["models"]),
        paths=frozenset(data["paths"]),
        trees=frozenset(data["trees"]),
        opaque=frozenset(data["opaque"]),
        links=tuple((path, target) for path, target in data["links"]),
        privileged=tuple(
            FoundPrivilege(**{**file, "privileges": tuple(map(Privilege, file["privileges"]))})
            for file in data["privileged"]
        ),
    )
