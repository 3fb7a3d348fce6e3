"""The shared objects of wheels and layers, each read once: kept in the cache by the digest of what holds them."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from builder.cache import Cache, StoredLayer
from builder.elf import MAGIC, SharedObject, read_shared_object, seekable
from builder.layers.archive import Archive, open_archive
from builder.layers.wheel import WheelInput
from builder.progress import Progress
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import absolute, members

FORMAT: Final = 1
"""Of the records: those of another format are made again."""

_KIND: Final = "elf"
_IN_MEMORY: Final = 16 << 20

RecordT = TypeVar("RecordT", bound=BaseModel)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WheelObjects(_Record):
    """The shared objects of a wheel, by their path in it. `code`: some of its Python modules are not empty."""

    objects: tuple[SharedObject, ...]
    code: bool


class LayerObjects(_Record):
    """The shared objects of a layer, by their path without leading `/`, and its links: path and target."""

    objects: tuple[SharedObject, ...]
    links: tuple[tuple[str, str], ...]


def objects_of_wheels(wheels: Sequence[WheelInput], cache: Cache, progress: Progress) -> list[WheelObjects]:
    """What is in each wheel, in their order. Raises BuilderError for a wheel that cannot be read."""
    unread = unread_wheels(wheels, cache)
    missing = {wheel.sha256: wheel for wheel in wheels if wheel.sha256 in unread}
    if missing:
        progress.step(f"Reading what the shared objects of {len(missing)} packages need")

    def read(wheel: WheelInput) -> None:
        remember_objects(wheel, _read_wheel(wheel), cache)

    with ThreadPoolExecutor(os.cpu_count() or 1, "elf") as pool:
        for _ in pool.map(read, missing.values()):
            pass
    return [_recall(wheel.sha256, WheelObjects, cache) or _read_wheel(wheel) for wheel in wheels]


def unread_wheels(wheels: Sequence[WheelInput], cache: Cache) -> frozenset[str]:
    """The wheels, by sha256, of which nothing is kept, so that they must be there for `objects_of_wheels`."""
    return frozenset(wheel.sha256 for wheel in wheels if _recall(wheel.sha256, WheelObjects, cache) is None)


def remember_objects(wheel: WheelInput, objects: WheelObjects, cache: Cache) -> None:
    """Keep what is in a wheel."""
    cache.remember(_KIND, _name(wheel.sha256), objects)


def objects_of_layer(layer: StoredLayer, cache: Cache) -> LayerObjects:
    """What is in a layer that is no wheel's. Raises InvalidInput for one that cannot be read."""
    known = _recall(layer.diff_id.hex, LayerObjects, cache)
    if known is None:
        known = _read_layer(layer.path)
        cache.remember(_KIND, _name(layer.diff_id.hex), known)
    return known


def _recall(digest: str, form: type[RecordT], cache: Cache) -> RecordT | None:
    return cache.recall(_KIND, _name(digest), form)


def _name(digest: str) -> str:
    return f"{digest}-{FORMAT}"


def _read_wheel(wheel: WheelInput) -> WheelObjects:
    with open_archive(wheel.path, str(wheel)) as archive:
        return objects_in(archive, {})


def objects_in(archive: Archive, known: Mapping[str, SharedObject | None]) -> WheelObjects:
    """What is in an open wheel; `known` is what was found in members already, None for what is no object."""
    found = [
        known[name] if name in known else _read_member(archive, member)
        for name, member in archive.members.items()
        if may_be_object(member)
    ]
    code = any(
        name.endswith(".py") and member.file_size > 0 and ".dist-info/" not in name
        for name, member in archive.members.items()
    )
    return WheelObjects(objects=tuple(item for item in found if item is not None), code=code)


def may_be_object(member: zipfile.ZipInfo) -> bool:
    """By its name, since to look into every file would cost more than all else: libraries and programs."""
    name = member.filename.rpartition("/")[2]
    return ".so" in name or "." not in name or bool(member.external_attr >> 16 & 0o111)


def _read_member(archive: Archive, member: zipfile.ZipInfo) -> SharedObject | None:
    if not archive.starts_with(member, MAGIC):
        return None
    with seekable(partial(archive.stream, member), member.file_size) as stream:
        return read_shared_object(stream, member.filename)


def _read_layer(path: Path) -> LayerObjects:
    objects, links = [], []
    with open_layer(path) as layer:
        for name, member, content in members(layer):
            if member.issym():
                links.append((name.lstrip("/"), member.linkname))
            elif member.islnk():
                links.append((name.lstrip("/"), absolute(member.linkname)))
            elif content is not None and (found := _read_content(content, name.lstrip("/"))) is not None:
                objects.append(found)
    return LayerObjects(objects=tuple(objects), links=tuple(links))


def _read_content(content: BinaryIO, path: str) -> SharedObject | None:
    start = content.read(len(MAGIC))
    if start != MAGIC:
        return None
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        copy.write(start)
        shutil.copyfileobj(content, copy)
        return read_shared_object(cast(BinaryIO, copy), path)
