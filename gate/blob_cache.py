"""Blobs read from the registry and held against their digests, kept so that a shared layer is read once."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor
from compliance.oci.registry import RegistryClient

FETCHERS: Final = 3
"""Blobs of one image that are fetched at once."""


class BlobCache:
    """A directory of blobs, kept below `limit` bytes by forgetting what was not used for longest."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._limit = limit
        self._kept = Layout.create(directory / "kept")
        self._open = directory / "open"
        self._lock = threading.Lock()
        # What a gate that was killed left behind.
        shutil.rmtree(self._open, ignore_errors=True)
        self._open.mkdir()

    @contextmanager
    def layout(
        self,
        client: RegistryClient,
        repository: str,
        root: tuple[Descriptor, bytes],
        blobs: Sequence[Descriptor],
    ) -> Iterator[Layout]:
        """An OCI layout of one manifest and its blobs, for as long as the block lasts.

        Raises InvalidInput when a blob does not hold the bytes its digest names, RegistryError or
        Unavailable when it cannot be had.
        """
        descriptor, raw = root
        with tempfile.TemporaryDirectory(dir=self._open) as name:
            layout = Layout.create(Path(name))
            layout.write_bytes(raw, descriptor.media_type)
            with ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetcher") as fetchers:
                wanted = dict.fromkeys(blob.digest for blob in blobs)
                for placed in [fetchers.submit(self._place, layout, client, repository, one) for one in wanted]:
                    placed.result()
            layout.write_index((descriptor,))
            yield layout
        self._forget()

    def open(self, digest: Digest) -> BinaryIO | None:
        """A blob that is kept, to be read; None when it is not. It stays readable when it is forgotten."""
        path = self._kept.path(digest)
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
        return cast(BinaryIO, file)

    def _place(self, layout: Layout, client: RegistryClient, repository: str, digest: Digest) -> None:
        with self._lock:
            if self._kept.has(digest):
                os.utime(self._kept.path(digest))
                layout.add_file(self._kept.path(digest), digest)
                return
        with client.open_claimed_blob(repository, digest) as chunks:
            layout.write_stream(chunks, digest)  # holds them against the digest
        with self._lock:
            self._kept.add_file(layout.path(digest), digest)

    def _forget(self) -> None:
        with self._lock:
            found = [(path.stat(), path) for path in (self._kept.root / "blobs").glob("*/*") if path.is_file()]
            total = sum(status.st_size for status, _ in found)
            for status, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
                if total <= self._limit:
                    return
                path.unlink()
                total -= status.st_size
