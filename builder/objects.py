"""The shared objects of wheels and layers, each read once: kept in the cache by the digest of what holds them."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from builder.cache import Cache, StoredLayer
from builder.elf import MAGIC, SharedObject, read_shared_object, seekable
from builder.layers.archive import Archive, open_archive
from builder.layers.wheel import WheelInput
from builder.progress import Progress
from compliance.oci.layer import absolute, members, open_layer

FORMAT: Final = 1
"""Of the records: those of another format are made again."""

_IN_MEMORY: Final = 16 << 20

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class WheelObjects:
    """The shared objects of a wheel, by their path in it. `code`: some of its Python modules are not empty."""

    objects: tuple[SharedObject, ...]
    code: bool


@dataclass(frozen=True, slots=True)
class LayerObjects:
    """The shared objects of a layer, by their path without leading `/`, and its links: path and target."""

    objects: tuple[SharedObject, ...]
    links: tuple[tuple[str, str], ...]


_WHEEL: Final = TypeAdapter(WheelObjects)
_LAYER: Final = TypeAdapter(LayerObjects)


def objects_of_wheels(wheels: Sequence[WheelInput], cache: Cache, progress: Progress) -> list[WheelObjects]:
    """What is in each wheel, in their order. Raises BuilderError for a wheel that cannot be read."""
    records = [_Record(cache, wheel.digest.hex, _WHEEL) for wheel in wheels]
    found = [record.read() for record in records]
    missing = [number for number, known in enumerate(found) if known is None]
    if missing:
        progress.step(f"Reading what the shared objects of {len(missing)} packages need")
    with ThreadPoolExecutor(os.cpu_count() or 1, "elf") as pool:
        read = pool.map(lambda number: records[number].make(partial(_read_wheel, wheels[number])), missing)
        for number, objects in zip(missing, read, strict=True):
            found[number] = objects
    return [objects for objects in found if objects is not None]


def objects_of_layer(layer: StoredLayer, cache: Cache) -> LayerObjects:
    """What is in a layer that is no wheel's. Raises InvalidInput for one that cannot be read."""
    return _Record(cache, layer.diff_id.hex, _LAYER).make(partial(_read_layer, layer.path))


class _Record(Generic[RecordT]):
    """A file of the cache that holds what was read from something of this digest."""

    def __init__(self, cache: Cache, digest: str, form: TypeAdapter[RecordT]) -> None:
        self._path = cache.directory("elf") / f"{digest}-{FORMAT}.json"
        self._cache = cache
        self._form = form

    def read(self) -> RecordT | None:
        try:
            return self._form.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def make(self, read: Callable[[], RecordT]) -> RecordT:
        known = self.read()
        if known is not None:
            return known
        made = read()
        with self._cache.fresh() as (stream, name):
            stream.write(self._form.dump_json(made, exclude_defaults=True))
            stream.flush()
            name.chmod(0o644)
            name.replace(self._path)
        return made


def _read_wheel(wheel: WheelInput) -> WheelObjects:
    with open_archive(wheel.path, str(wheel)) as archive:
        found = [_read_member(archive, member) for member in archive.members.values() if _may_be_object(member)]
        code = any(
            name.endswith(".py") and member.file_size > 0 and ".dist-info/" not in name
            for name, member in archive.members.items()
        )
    return WheelObjects(tuple(item for item in found if item is not None), code)


def _may_be_object(member: zipfile.ZipInfo) -> bool:
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
    return LayerObjects(tuple(objects), tuple(links))


def _read_content(content: BinaryIO, path: str) -> SharedObject | None:
    start = content.read(len(MAGIC))
    if start != MAGIC:
        return None
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        copy.write(start)
        shutil.copyfileobj(content, copy)
        return read_shared_object(cast(BinaryIO, copy), path)
