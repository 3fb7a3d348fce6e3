"""Fetches Trivy databases from a registry, pins and mirrors them, and publishes compiled advisories as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from compliance.errors import InvalidInput, Unavailable
from compliance.oci.credentials import Credentials
from compliance.oci.manifest import Descriptor, Manifest
from compliance.oci.reference import Reference
from compliance.oci.registry import RawManifest, RegistryClient
from compliance.scan.artifact import TAG, layer_in, pack, unpack
from compliance.scan.database import fresh_directory, settle
from compliance.scan.installed import PIN, SOURCE, TRIVY, Installed, Pin, Source, present, write
from compliance.scan.lock import exclusive

LOCK_SECONDS: Final = 600.0

Advance = Callable[[int], None]
Task = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Begins a task of so many bytes; what it yields is told how many more are done."""


@contextmanager
def unwatched(label: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - as Task
    """A task that nobody follows."""
    yield lambda count: None  # noqa: ARG005


@dataclass(frozen=True, slots=True)
class FetchedDatabase:
    """A database in the cache. `reference` names the artifact by digest; `mirrored` is where a copy was put."""

    reference: Reference
    installed: Installed
    pinned: bool
    mirrored: Reference | None


def parse_repository(text: str) -> Reference:
    """A database's reference; without tag and digest it means the schema version's tag, as it does for Trivy.

    Raises InvalidInput when it is none, or names no registry.
    """
    reference = Reference.parse(text)
    if not reference.registry:
        raise InvalidInput(
            f"{text!r} names no registry", remedy="Write HOST:PORT/REPOSITORY, with or without a tag."
        )
    if reference.tag is None and reference.digest is None:
        return Reference(reference.registry, reference.repository, TAG)
    return reference


def client_of(reference: Reference) -> RegistryClient:
    """A client of the reference's registry, with the credentials that docker keeps for it."""
    return RegistryClient(reference.registry, credentials=Credentials.from_docker_config(reference.registry))


def publish_database(folder: Path, target: Reference) -> Reference:
    """Push the database files in `folder` as an artifact that Trivy can download; returns its name by digest."""
    manifest, blobs = pack(folder)
    raw = manifest.to_json()
    with client_of(target) as client:
        for descriptor, data in blobs:
            client.push_blob(target.repository, descriptor.digest, descriptor.size, partial(BytesIO, data))
        digest = client.put_manifest(target.repository, target.target, raw, manifest.media_type)
    return target.at(digest)


def fetch_database(
    source: Reference,
    cache: Path,
    *,
    now: datetime,
    pin: bool,
    mirror: Reference | None = None,
    task: Task = unwatched,
) -> FetchedDatabase:
    """Download the database `source` into `cache`, check that it is one, and use it wherever it is the newest.

    With `pin`, or where `source` names a digest, it is used alone until another one is fetched; without, an
    earlier pin is lifted. `mirror` gets the very same artifact, so that its digest is the same there. Raises
    Unavailable or RegistryError when a registry does not answer as it should, InvalidInput when what it has
    is no database.
    """
    place = cache / TRIVY
    with exclusive(place / "download.lock", patience=LOCK_SECONDS), fresh_directory(place) as folder:
        with client_of(source) as client:
            found = client.get_manifest(source.repository, source.target)
            reference = source.at(found.digest)
            layer = _download(client, reference, layer_in(found.parse(), str(reference)), folder, task)
            unpack(layer, folder / "db")
            updated = _checked(folder, reference)
            if mirror is not None:
                _copy(client, source, found, layer, mirror, task)
        layer.unlink()
        write(folder / SOURCE, Source(reference=str(reference), digest=found.digest, fetched=now.astimezone(UTC)))
        target = settle(folder, place, f"{updated:%Y%m%dT%H%M%SZ}-{found.digest.hex[:12]}")
        keep = pin or source.digest is not None
        if keep:
            write(place / PIN, Pin(reference=str(reference), folder=target.name))
        else:
            (place / PIN).unlink(missing_ok=True)
    copied = mirror.at(found.digest) if mirror is not None else None
    return FetchedDatabase(reference, next(present(target, [])), keep, copied)


def _checked(folder: Path, reference: Reference) -> datetime:
    """When the database in `folder` was made. Raises InvalidInput when it cannot be used."""
    notes: list[str] = []
    found = next(present(folder, notes), None)
    if found is None:
        raise InvalidInput(f"{reference} holds no database that can be used. {' '.join(notes)}".strip())
    return found.database.description.updated


def _download(client: RegistryClient, source: Reference, blob: Descriptor, folder: Path, task: Task) -> Path:
    target = folder / "layer.tar.gz"
    try:
        with (
            client.open_blob(source.repository, blob.digest) as chunks,
            target.open("wb") as stream,
            task("fetching the database", blob.size) as advance,
        ):
            for chunk in chunks:
                stream.write(chunk)
                advance(len(chunk))
    except OSError as error:
        raise Unavailable(f"{target}: cannot be written: {error.strerror}") from error
    return target


def _copy(
    client: RegistryClient, source: Reference, found: RawManifest, layer: Path, mirror: Reference, task: Task
) -> None:
    """Push manifest, config and layer as they are."""
    document = found.parse()
    if not isinstance(document, Manifest):
        raise InvalidInput(f"{source} is an index, not one artifact")
    with client.open_blob(source.repository, document.config.digest) as chunks:
        config = b"".join(chunks)
    (blob,) = document.layers
    with client_of(mirror) as to, task("mirroring the database", blob.size) as advance:
        to.push_blob(mirror.repository, document.config.digest, len(config), partial(BytesIO, config))
        to.push_blob(mirror.repository, blob.digest, blob.size, partial(_open, layer), advance)
        to.put_manifest(mirror.repository, mirror.target, found.raw, found.media_type)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
