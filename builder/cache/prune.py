"""Making the cache smaller, beside builds that use it."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from builder.cache.records import LayerRecord, read_record
from builder.cache.store import Cache
from builder.cache.usage import Item, Kind, items, last_use, measure

_ABANDONED: Final = timedelta(days=1)

FORGOTTEN: Final = timedelta(days=90)
"""After how long unused a record goes, whatever the limits: there are many of them, and they are small."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be: files and bytes. `size` is the cache's afterwards, in bytes.

    `in_use` is how many bytes would have gone too, had no running build asked for them; `records` is how many
    of the files were records.
    """

    files: int
    bytes: int
    size: int
    in_use: int
    records: int = 0


def prune(
    cache: Cache,
    *,
    max_size: int | None = None,
    older_than: timedelta | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Remove what was not asked for during `older_than`, then the longest unused until `max_size` bytes hold.

    Downloads, layers and records go; records that nobody asked for during FORGOTTEN go in any case. What a
    running build has asked for since it began stays, whatever the limits. Abandoned parts of downloads and
    records of layers that are gone are removed as well. Databases and other tools' directories count, and stay.
    """
    oldest_session = cache.sessions.oldest()
    size = measure(cache).total
    parts = _abandoned(cache, dry_run=dry_run)
    removed, in_use, records = list(parts), 0, 0
    size -= sum(parts)
    deadline = 0 if older_than is None else _before(older_than)
    forgotten = _before(FORGOTTEN)
    for item in sorted(items(cache), key=lambda item: item.used):
        too_old = item.used < deadline or (item.kind is Kind.RECORDS and item.used < forgotten)
        if not too_old and (max_size is None or size <= max_size):
            continue
        if item.used >= oldest_session or not (dry_run or _remove(cache, item, oldest_session)):
            in_use += item.size
            continue
        removed.append(item.size)
        records += item.kind is Kind.RECORDS
        size -= item.size
    if not dry_run:
        _forget_layers(cache)
    return Pruned(len(removed), sum(removed), size, in_use, records)


def _before(span: timedelta) -> int:
    """The moment this long ago, in nanoseconds since the epoch."""
    return time.time_ns() - int(span.total_seconds() * 1e9)


def _remove(cache: Cache, item: Item, oldest_session: int) -> bool:
    """Remove a blob or record, unless somebody has asked for it in the meantime."""
    with cache.sessions.guarded(alone=True):
        used = last_use(item.path)
        if used is not None and used >= oldest_session:
            return False
        item.path.unlink(missing_ok=True)
        item.path.with_suffix(".seen").unlink(missing_ok=True)
    return True


def _forget_layers(cache: Cache) -> None:
    for path in (cache.root / "layers").glob("*.json"):
        with cache.sessions.guarded(alone=True):
            record = read_record(path, LayerRecord)
            if record is None or not cache.path(record.descriptor.digest).exists():
                path.unlink(missing_ok=True)


def _abandoned(cache: Cache, *, dry_run: bool) -> list[int]:
    """Remove the parts of downloads that nobody has gone on with for a day; returns their sizes."""
    sizes = []
    for path in cache.directory("partial").iterdir():
        size = _remove_part(path, dry_run=dry_run)
        if size is not None:
            sizes.append(size)
    return sizes


def _remove_part(path: Path, *, dry_run: bool) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # the download came to its end
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a download holds it while it lasts
        state = os.fstat(descriptor)
        if state.st_mtime > time.time() - _ABANDONED.total_seconds():
            return None
        if not dry_run:
            path.unlink(missing_ok=True)
        return state.st_size
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)
