"""The files of an image that matter: models, and what runs with more rights than its caller's.

Each layer's tar is read once, and upper layers hide what lies under them.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, Self, TypeVar

from compliance.errors import InvalidInput
from compliance.inventory import ModelFile, Origin, Privilege, PrivilegedFile
from compliance.models.formats import HEAD, detect
from compliance.models.layer_files import FoundModel, FoundPrivilege, LayerFiles, LayerMemory
from compliance.oci.descriptions import require_modest
from compliance.oci.diffids import MAX_IMAGE, Claim, Unpacked, check, claims, open_claimed
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream
from compliance.oci.layer_members import absolute, members, require_safe
from compliance.oci.layout import Layout

CHUNK: Final = 1 << 20
READERS: Final = 2
"""Layers read at once: hashing and decompressing leave the interpreter to others."""

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_CAPABILITIES: Final = "SCHILY.xattr.security.capability"
"""The name under which tars keep the extended attribute that file capabilities are (capabilities(7))."""

OriginOf = Callable[[Digest, str], Origin]


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files that matter among those that a container of an image would see, by path."""

    models: tuple[ModelFile, ...]
    privileged: tuple[PrivilegedFile, ...]


def read_files(
    layout: Layout,
    digest: Digest,
    origin_of: OriginOf,
    *,
    memory: LayerMemory | None = None,
    limit: int = MAX_IMAGE,
) -> ImageFiles:
    """Read every layer of an image once, for all that is looked for in its files.

    `origin_of` says, by diffID and absolute path, who brought a file. The layers are checked against the
    config's diffIDs on the way, and those in `memory` are not read again; `limit` bounds them together,
    unpacked, in bytes. Raises WrongLayer when they differ, UnsafeMember when unpacking one does harm, and
    InvalidInput when one is not a sound tar.
    """
    claimed = claims(layout, digest)
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as readers:
        found = list(readers.map(lambda claim: _read(layout, claim, memory, limit), claimed))
    if sum(unpacked.size for unpacked, _ in found) > limit:
        raise InvalidInput(f"image {digest} decompresses to more than {limit:,} bytes")
    layers = [(claim.diff_id, files) for claim, (_, files) in zip(claimed, found, strict=True)]
    return ImageFiles(merge(layers, origin_of), merge_privileged(layers, origin_of))


def _read(layout: Layout, claim: Claim, memory: LayerMemory | None, limit: int) -> tuple[Unpacked, LayerFiles]:
    known = memory.recall(claim.blob) if memory is not None and layout.has(claim.blob) else None
    if known is not None:
        check(claim, known[0], layout)
        return known
    with open_claimed(layout, claim, limit=limit) as stream:
        files = read_layer_files(stream)
        unpacked = Unpacked(stream.finish(), stream.tell())
    if memory is not None:
        memory.remember(claim.blob, unpacked, files)
    return unpacked, files


def find_models(layout: Layout, digest: Digest, origin_of: OriginOf) -> tuple[ModelFile, ...]:
    """The model files that a container of this image would see, by path; otherwise as read_files."""
    return read_files(layout, digest, origin_of).models


def merge(layers: Iterable[tuple[Digest, LayerFiles]], origin_of: OriginOf) -> tuple[ModelFile, ...]:
    """The models that are left when the layers, from the bottom up, lie on each other."""
    return tuple(
        ModelFile(
            path=path,
            format=found.format,
            origin=origin_of(diff_id, path),
            sha256=found.sha256,
            size=found.size,
            layer=diff_id,
            unsafe=found.unsafe,
        )
        for path, diff_id, found in _visible(layers, lambda layer: layer.models)
    )


def merge_privileged(
    layers: Iterable[tuple[Digest, LayerFiles]], origin_of: OriginOf
) -> tuple[PrivilegedFile, ...]:
    """As merge, for the files that run with other rights than their caller's."""
    return tuple(
        PrivilegedFile(path, found.privileges, origin_of(diff_id, path), found.owner, found.group, diff_id)
        for path, diff_id, found in _visible(layers, lambda layer: layer.privileged)
    )


FoundT = TypeVar("FoundT", FoundModel, FoundPrivilege)


def _visible(
    layers: Iterable[tuple[Digest, LayerFiles]], found_in: Callable[[LayerFiles], Iterable[FoundT]]
) -> Iterator[tuple[str, Digest, FoundT]]:
    """What is left when the layers lie on each other: path, the layer that put it there, and what was found."""
    visible: dict[str, tuple[Digest, FoundT]] = {}
    for diff_id, layer in layers:
        visible = {path: found for path, found in visible.items() if not layer.hides(path)}
        for found in found_in(layer):
            visible[found.path] = (diff_id, found)
        for path, target in layer.links:
            if target in visible:
                visible[path] = (diff_id, visible[target][1])
    return iter([(path, diff_id, found) for path, (diff_id, found) in sorted(visible.items())])


def read_layer_files(stream: LayerStream) -> LayerFiles:
    """What matters in the one layer whose tar `stream` is; it is read forward, up to the padding at its end."""
    models: dict[str, FoundModel] = {}
    privileged: dict[str, FoundPrivilege] = {}
    links: dict[str, str] = {}
    paths: set[str] = set()
    removed: set[str] = set()
    directories: set[str] = set()
    opaque: set[str] = set()
    for path, member, content in members(stream):
        require_safe(member)
        require_modest(path, member)
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
        privileged.pop(path, None)
        links.pop(path, None)
        if member.isdir():
            directories.add(path)
            continue
        if (rights := tuple(_privileges(member))) and member.isreg():
            privileged[path] = FoundPrivilege(path, rights, member.uid, member.gid)
        if member.islnk():
            links[path] = absolute(member.linkname)
        elif content is not None and (found := _examine(path, member.size, content)) is not None:
            models[path] = found
    return LayerFiles(
        models=tuple(models.values()),
        paths=frozenset(paths | removed),
        trees=frozenset(paths - directories | removed),
        opaque=frozenset(opaque),
        links=tuple(links.items()),
        privileged=tuple(privileged.values()),
    )


def _privileges(member: tarfile.TarInfo) -> Iterator[Privilege]:
    if member.mode & stat.S_ISUID:
        yield Privilege.SETUID
    if member.mode & stat.S_ISGID:
        yield Privilege.SETGID
    if _CAPABILITIES in member.pax_headers:
        yield Privilege.CAPABILITIES


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
