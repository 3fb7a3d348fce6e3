"""The model files of an image: each layer's tar is read once, and upper layers hide what lies under them."""

from __future__ import annotations

import hashlib
import io
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, Final, Self

from compliance.inventory import ModelFile, Origin
from compliance.models.formats import HEAD, detect
from compliance.oci.diffids import read_layers
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream, absolute, members
from compliance.oci.layout import Layout

CHUNK: Final = 1 << 20

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"

OriginOf = Callable[[Digest, str], Origin]


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file of one layer. `path` is absolute."""

    path: str
    format: str
    unsafe: str | None
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class LayerModels:
    """The models of one layer, and what it does to the layers below. Depends on the layer's diffID alone.

    `paths` are all its members and whiteouts: a file there hides a lower file. `trees` are those of them that
    hide whatever lies below them too: files, links and whiteouts. `opaque` are directories whose lower
    content is hidden. `links` are hard links: path and target.
    """

    models: tuple[FoundModel, ...]
    paths: frozenset[str]
    trees: frozenset[str]
    opaque: frozenset[str]
    links: tuple[tuple[str, str], ...]

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


def find_models(layout: Layout, digest: Digest, origin_of: OriginOf) -> tuple[ModelFile, ...]:
    """The model files that a container of this image would see, by path.

    `origin_of` says, by diffID and absolute path, who brought a file. The layers are checked against the
    config's diffIDs on the way. Raises InvalidInput when they differ or a layer is not a sound tar.
    """
    layers = [(diff_id, find_models_in_layer(stream)) for diff_id, stream in read_layers(layout, digest)]
    return merge(layers, origin_of)


def merge(layers: Iterable[tuple[Digest, LayerModels]], origin_of: OriginOf) -> tuple[ModelFile, ...]:
    """The models that are left when the layers, from the bottom up, lie on each other."""
    visible: dict[str, ModelFile] = {}
    for diff_id, layer in layers:
        visible = {path: model for path, model in visible.items() if not layer.hides(path)}
        for found in layer.models:
            visible[found.path] = ModelFile(
                path=found.path,
                format=found.format,
                origin=origin_of(diff_id, found.path),
                sha256=found.sha256,
                size=found.size,
                layer=diff_id,
                unsafe=found.unsafe,
            )
        for path, target in layer.links:
            if target in visible:
                origin = origin_of(diff_id, path)
                visible[path] = replace(visible[target], path=path, origin=origin, layer=diff_id)
    return tuple(visible[path] for path in sorted(visible))


def find_models_in_layer(stream: LayerStream) -> LayerModels:
    """The models of the one layer whose tar `stream` is; it is read forward, up to the padding at its end."""
    models: dict[str, FoundModel] = {}
    links: dict[str, str] = {}
    paths: set[str] = set()
    removed: set[str] = set()
    directories: set[str] = set()
    opaque: set[str] = set()
    for path, member, content in members(stream):
        directory, name = posixpath.split(path)
        if name == _OPAQUE:
            opaque.add(directory)
            continue
        if name.startswith(_WHITEOUT):
            removed.add(posixpath.join(directory, name.removeprefix(_WHITEOUT)))
            continue
        paths.add(path)
        directories.discard(path)
        models.pop(path, None)
        links.pop(path, None)
        if member.isdir():
            directories.add(path)
        elif member.islnk():
            links[path] = absolute(member.linkname)
        elif content is not None and (found := _examine(path, member.size, content)) is not None:
            models[path] = found
    return LayerModels(
        models=tuple(models.values()),
        paths=frozenset(paths | removed),
        trees=frozenset(paths - directories | removed),
        opaque=frozenset(opaque),
        links=tuple(links.items()),
    )


def _examine(path: str, size: int, content: BinaryIO) -> FoundModel | None:
    head = content.read(HEAD)
    with _Whole(head, size, content) as whole:
        found = detect(head, whole.open, path)
        return FoundModel(path, found.format, found.unsafe, whole.sha256(), size) if found else None


class _Whole:
    """A file that is met only once, in a tar: kept on disk from the moment somebody wants all of it."""

    def __init__(self, head: bytes, size: int, content: BinaryIO) -> None:
        self._head = head
        self._size = size
        self._content = content
        self._state = hashlib.sha256(head)
        self._kept: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    def open(self) -> BinaryIO:
        if self._size <= len(self._head):
            return io.BytesIO(self._head)
        if self._kept is None:
            self._kept = tempfile.NamedTemporaryFile(prefix="mlbuild-model-")  # noqa: SIM115 - closed in __exit__
            self._kept.write(self._head)
            for chunk in self._rest():
                self._kept.write(chunk)
            self._kept.flush()
        return Path(self._kept.name).open("rb")

    def sha256(self) -> str:
        for _ in self._rest():
            pass
        return self._state.hexdigest()

    def _rest(self) -> Iterator[bytes]:
        while chunk := self._content.read(CHUNK):
            self._state.update(chunk)
            yield chunk
