"""How much of the disk the cache takes, and for what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from builder.cache.records import LayerRecord, read_record
from builder.cache.store import RECORDS, Cache


class Kind(StrEnum):
    LAYERS = "layers"
    DOWNLOADS = "downloads"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the cache that can be had or made again.

    `used` is when it was last asked for, in nanoseconds since the epoch.
    """

    path: Path
    size: int
    used: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes by what they are for: layers, downloads, records, and every other directory under its own name."""

    root: Path
    sizes: dict[str, int]
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


def measure(cache: Cache) -> Usage:
    """What the cache takes now. Files that builds make or remove meanwhile may be counted or not."""
    sizes: dict[str, int] = {kind.value: 0 for kind in Kind}
    counts = dict(sizes)
    for item in items(cache):
        sizes[item.kind] += item.size
        counts[item.kind] += 1
    for directory in sorted(path for path in cache.root.iterdir() if path.is_dir()):
        if directory.name in {"blobs", "layers", "sessions", RECORDS}:
            continue
        found = [size for _, size in _files(directory)]
        if found:
            sizes[directory.name], counts[directory.name] = sum(found), len(found)
    return Usage(cache.root, sizes, counts)


def items(cache: Cache) -> Iterator[Item]:
    """Every blob and record there is. A blob that is not known as a layer is a download."""
    layers = {record.descriptor.digest.hex for record in _layers(cache)}
    for path, size in _files(cache.root / "blobs"):
        if path.suffix:
            continue
        used = last_use(path)
        if used is not None:
            yield Item(path, size, used, Kind.LAYERS if path.name in layers else Kind.DOWNLOADS)
    for path, size in _files(cache.root / RECORDS):
        used = last_use(path)
        if used is not None:
            yield Item(path, size, used, Kind.RECORDS)


def last_use(path: Path) -> int | None:
    """When a blob or record was last asked for or written, in nanoseconds since the epoch; None: it is gone."""
    times = []
    for part in (path, path.with_suffix(".seen")):
        try:
            times.append(part.stat().st_mtime_ns)
        except FileNotFoundError:
            if part == path:
                return None
    return times[-1]


def _layers(cache: Cache) -> Iterator[LayerRecord]:
    for path in (cache.root / "layers").glob("*.json"):
        record = read_record(path, LayerRecord)
        if record is not None:
            yield record


def _files(directory: Path) -> Iterator[tuple[Path, int]]:
    """The files below a directory and their sizes in bytes, without those that vanish meanwhile."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            try:
                yield Path(entry.path), entry.stat().st_size
            except FileNotFoundError:
                continue
