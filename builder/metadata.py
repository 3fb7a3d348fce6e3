"""The METADATA of wheels that are not downloaded: read from the end of the zip by HTTP byte ranges.

A wheel keeps its `.dist-info` near the end and the zip directory at the very end, so a few kilobytes tell
what a package requires and under which licence it comes (core metadata specification). The bytes cannot be
checked against the wheel's hash before the whole wheel is there; they describe, they are never installed.

Where METADATA names no licence that SPDX knows, the licence files beside it are read too.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from packaging.metadata import parse_email
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, ValidationError

from builder.errors import BuilderError
from builder.index_client import IndexClient, index_client
from builder.licences import licence_of, recognise, spdx
from builder.progress import Progress
from builder.uv import ResolvedWheel
from compliance.errors import Unavailable
from compliance.retries import Retries

TAIL: Final = 1 << 15
"""How many bytes are asked for at once. Most wheels' METADATA and directory fit."""

MAX_METADATA: Final = 5_000_000
MAX_LICENCE: Final = 100_000
_CONTENT_RANGE: Final = re.compile(r"bytes (?P<first>[0-9]+)-[0-9]+/(?P<total>[0-9]+)")
_METADATA_PATH: Final = re.compile(r"[^/]+\.dist-info/METADATA")
_LICENCE_PATH: Final = re.compile(r"[^/]+\.dist-info/(?:licenses/)?[^/]*(?:licen[cs]e|copying)[^/]*", re.I)


@dataclass(frozen=True, slots=True)
class WheelMetadata:
    """What a wheel says of itself. `requires` are its Requires-Dist lines, as written."""

    requires: tuple[str, ...]
    licence: str | None


class _Kept(BaseModel):
    """What is cached of a wheel: its METADATA, and its licence files where METADATA does not say enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metadata: str
    licences: tuple[str, ...] = ()


def read_metadata(
    wheels: Sequence[ResolvedWheel],
    directory: Path,
    environment: Mapping[str, str],
    progress: Progress,
    workers: int = 8,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> dict[str, WheelMetadata]:
    """The metadata of each wheel by package name, from the cache or from the index, several at once.

    `directory` keeps what was read, by the wheel's sha256. Raises Unavailable when
    an address cannot be read and BuilderError when what is there is not the wheel it should be.
    """
    with (
        index_client(environment, retries) as client,
        ThreadPoolExecutor(workers) as pool,
        progress.bytes("metadata", None) as advance,
    ):

        def read(wheel: ResolvedWheel) -> _Kept:
            kept = _cached(wheel, directory, client)
            advance(len(kept.metadata))
            return kept

        found = list(pool.map(read, wheels))
    return {wheel.name: _parsed(wheel, kept) for wheel, kept in zip(wheels, found, strict=True)}


def _cached(wheel: ResolvedWheel, directory: Path, client: IndexClient) -> _Kept:
    path = directory / f"{wheel.sha256}.json"
    try:
        os.utime(path)  # it is in use
        return _Kept.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        kept = _fetched(wheel, client)
    part = directory / f"{wheel.sha256}.{os.getpid()}.part"
    part.write_text(kept.model_dump_json(), encoding="utf-8")
    part.replace(path)
    return kept


def _fetched(wheel: ResolvedWheel, client: IndexClient) -> _Kept:
    try:
        with zipfile.ZipFile(_source(wheel, client)) as archive:
            member = next((info for info in archive.infolist() if _METADATA_PATH.fullmatch(info.filename)), None)
            if member is None or member.file_size > MAX_METADATA:
                raise BuilderError(f"{wheel.url} holds no METADATA, or one of absurd size, so it is not a wheel")
            metadata = archive.read(member).decode("utf-8", errors="replace")
            declared = licence_of(parse_email(metadata)[0])
            if declared is not None and spdx(declared) is not None:
                return _Kept(metadata=metadata)
            return _Kept(metadata=metadata, licences=tuple(_licence_files(archive)))
    except zipfile.BadZipFile as error:
        raise BuilderError(f"{wheel.url} is not a wheel: {error}") from error
    except httpx.HTTPStatusError as error:
        raise Unavailable(
            f"{wheel.url} answers {error.response.status_code}",
            remedy="Look at the index and its credentials, or lock again to choose what it still has.",
        ) from error
    except httpx.HTTPError as error:
        raise Unavailable(
            f"{wheel.url} cannot be read: {error}", remedy="Look at the network and try again."
        ) from error


def _source(wheel: ResolvedWheel, client: IndexClient) -> Path | _RemoteFile:
    """Where a wheel is read from: a wheel that was built on this machine has an address of it."""
    if wheel.url.startswith("file:"):
        return Path(unquote(urlsplit(wheel.url).path))
    return _RemoteFile(wheel, client)


def _licence_files(archive: zipfile.ZipFile) -> Iterator[str]:
    for info in archive.infolist():
        if _LICENCE_PATH.fullmatch(info.filename) and info.file_size <= MAX_LICENCE:
            yield archive.read(info).decode("utf-8", errors="replace")


def _parsed(wheel: ResolvedWheel, kept: _Kept) -> WheelMetadata:
    fields, _ = parse_email(kept.metadata)
    name, version = fields.get("name", ""), fields.get("version", "")
    if canonicalize_name(name) != wheel.name:
        raise BuilderError(
            f"{wheel.filename} says that it is {name!r} {version!r}, not {wheel.name}",
            remedy="The index serves something else under this name: do not install it; tell its owner.",
        )
    licence = recognise(kept.licences) or licence_of(fields)
    return WheelMetadata(tuple(fields.get("requires_dist", ())), licence)


class _RemoteFile(io.RawIOBase):
    """A file behind a URL, of which only the parts that are read are fetched."""

    def __init__(self, wheel: ResolvedWheel, client: IndexClient) -> None:
        self._wheel = wheel
        self._client = client
        self._position = 0
        self._parts: list[tuple[int, bytes]] = []
        self._size = wheel.size or 0
        tail = f"{max(0, self._size - TAIL)}-" if self._size else f"-{TAIL}"
        self._size = self._request(tail)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        rest = max(0, self._size - self._position)
        count = rest if size is None or size < 0 else min(size, rest)
        if count == 0:
            return b""
        data = self._slice(count)
        if data is None:
            last = min(self._size, self._position + max(count, TAIL)) - 1
            self._request(f"{self._position}-{last}")
            data = self._slice(count)
        if data is None:
            raise BuilderError(f"{self._wheel.url} answers with other bytes than were asked for")
        self._position += count
        return data

    def _slice(self, count: int) -> bytes | None:
        for start, part in self._parts:
            if start <= self._position and self._position + count <= start + len(part):
                return part[self._position - start :][:count]
        return None

    def _request(self, wanted: str) -> int:
        """Fetch a range and keep it; the file's whole size."""
        answer = self._client.get(self._wheel.url, {"Range": f"bytes={wanted}"})
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status_code == httpx.codes.PARTIAL_CONTENT and found is not None:
            self._parts.append((int(found["first"]), answer.content))
            return self._whole(int(found["total"]))
        if hashlib.sha256(answer.content).hexdigest() != self._wheel.sha256:
            raise BuilderError(
                f"{self._wheel.url} is not the file that the index named: its sha256 is another one",
                remedy="Lock again; when it stays, tell the owner of the index.",
            )
        self._parts = [(0, answer.content)]
        return self._whole(len(answer.content))

    def _whole(self, size: int) -> int:
        if self._wheel.size is not None and size != self._wheel.size:
            raise BuilderError(f"{self._wheel.url} has {size} bytes, the index said {self._wheel.size}")
        return size
