"""The content-addressed cache: downloads and layer blobs by sha256, and what each layer was made from.

    blobs/sha256/ab/ab12…        a file with that digest
    blobs/sha256/ab/ab12….seen   its size and modification time when it was last hashed
    layers/KEY.json              the layer that a set of inputs gives: descriptor, diffID, tar size
    known/                       digests of large files outside the cache, by path, size and times
    new/                         files being written
    NAME/                        whatever `directory(NAME)` is asked for

How content is trusted: a blob is hashed while it is written and gets its name only when the digest is
right. When it is asked for again its size and modification time are compared with those of that moment;
when they differ (the cache was copied, the file was touched or altered) it is hashed again. So altered
content is found unless size and time were forged with it; registries and the image's own digests still
hold then. Files are not synced to disk: after a power cut a blob may be short, which its size tells.

Several builds may use one cache, and any may be killed at any moment: a file appears whole under its
name by a rename, in place of an equal one, and nothing is deleted that another build could be reading.
Leftovers in new/ are harmless; those more than a day old are removed when a cache is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from builder.errors import BuilderError
from builder.layers.tar import CHUNK, LAYOUT_VERSION, Compression, WrittenLayer
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor

_LEFTOVER_SECONDS: Final = 24 * 60 * 60
_REMEMBERED_SIZE: Final = 1 << 20
_CLOCK_TICK: Final = 2.0

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer whose blob is in the cache at `path`. `tar_size` is in bytes, uncompressed."""

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the bytes of a layer depend on, besides the layout version.

    `kind` names the function that makes it (`wheels`, `app`, `debian`), `inputs` are digests and whatever
    else that function reads, in its order. `prefix` and `interpreter` are of the environment inside.
    """

    kind: str
    inputs: tuple[str, ...]
    prefix: str = ""
    interpreter: str = ""
    compression: Compression = Compression.GZIP

    @property
    def key(self) -> str:
        """A name for the layer that these inputs give, as 64 hexadecimal digits."""
        parts = [
            str(LAYOUT_VERSION),
            self.kind,
            list(self.inputs),
            self.prefix,
            self.interpreter,
            self.compression.writer,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Seen(BaseModel):
    """A blob's size in bytes and modification time in nanoseconds when its digest was found true."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    mtime_ns: int


class _Known(BaseModel):
    """A file outside the cache: inode, size and times, and the digest it had with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: list[int]
    digest: Digest


class _LayerRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    descriptor: Descriptor
    diff_id: Digest
    tar_size: int


class Cache:
    """A directory that several builds may share. It is made when it does not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._blobs = self.directory("blobs") / "sha256"
        self._layers = self.directory("layers")
        self._known = self.directory("known")
        self._new = self.directory("new")
        self._sweep()

    def directory(self, name: str) -> Path:
        """A directory of the cache for somebody's own files. Raises BuilderError when it cannot be made."""
        path = self.root / name
        with storing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def get(self, digest: Digest) -> Path | None:
        """The file with this digest, or None. It costs two system calls unless the file looks altered."""
        path = self.path(digest)
        try:
            state = path.stat()
        except OSError:
            return None
        if self._seen(digest) == _Seen(size=state.st_size, mtime_ns=state.st_mtime_ns):
            return path
        with path.open("rb") as stream:
            if Digest.of_chunks(iter(lambda: stream.read(CHUNK), b"")) != digest:
                return None
        self._note(digest, state)
        return path

    def put(self, chunks: Iterable[bytes], digest: Digest) -> Path:
        """Store a stream that must have this digest. Raises BuilderError when it has not."""
        state = hashlib.sha256()
        with self.fresh() as (stream, name):
            for chunk in chunks:
                state.update(chunk)
                stream.write(chunk)
            stream.flush()
            if state.hexdigest() != digest.hex:
                raise BuilderError(f"content that should have digest {digest} has sha256:{state.hexdigest()}")
            return self.adopt(name, digest)

    def adopt(self, file: Path, digest: Digest) -> Path:
        """Give a file made in this cache its place. The caller has found its digest to be this one."""
        path = self.path(digest)
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file.chmod(0o644)
            state = file.stat()
            file.replace(path)
            self._note(digest, state)
        return path

    @contextmanager
    def fresh(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new file to write and then `adopt`; it is removed at the end when nobody did."""
        with storing(self._new):
            handle, name = tempfile.mkstemp(dir=self._new)
            try:
                with os.fdopen(handle, "wb") as stream:
                    yield stream, Path(name)
            finally:
                Path(name).unlink(missing_ok=True)

    def digest_of(self, file: Path) -> Digest:
        """The sha256 of a file outside the cache.

        A large one is not read again while its inode, size, modification and change time stay the same;
        one that changed within the last two seconds is not remembered, since clocks tick coarsely.
        """
        state = file.stat()
        identity = [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
        note = self._known / f"{Digest.of(os.fsencode(file.absolute())).hex}.json"
        if state.st_size >= _REMEMBERED_SIZE:
            known = _read(note, _Known)
            if known is not None and known.identity == identity:
                return known.digest
        started = time.time()
        with file.open("rb") as stream:
            digest = Digest.of_chunks(iter(lambda: stream.read(CHUNK), b""))
        if state.st_size >= _REMEMBERED_SIZE and state.st_ctime < started - _CLOCK_TICK:
            self._write(note, _Known(identity=identity, digest=digest))
        return digest

    def layer(self, recipe: Recipe) -> StoredLayer | None:
        """The layer this recipe gave before, or None when it was never made or its blob is gone."""
        record = _read(self._layers / f"{recipe.key}.json", _LayerRecord)
        path = self.get(record.descriptor.digest) if record is not None else None
        if record is None or path is None:
            return None
        return StoredLayer(record.descriptor, record.diff_id, record.tar_size, path)

    def make_layer(self, recipe: Recipe, write: Callable[[BinaryIO], WrittenLayer]) -> StoredLayer:
        """The layer of this recipe: from the cache, else what `write` writes, kept for the next time."""
        stored = self.layer(recipe)
        if stored is not None:
            return stored
        with self.fresh() as (stream, name):
            written = write(stream)
            stream.flush()
            path = self.adopt(name, written.descriptor.digest)
        record = _LayerRecord(descriptor=written.descriptor, diff_id=written.diff_id, tar_size=written.tar_size)
        self._write(self._layers / f"{recipe.key}.json", record)
        return StoredLayer(written.descriptor, written.diff_id, written.tar_size, path)

    def path(self, digest: Digest) -> Path:
        """Where the file with this digest is, or would be."""
        if digest.algorithm != "sha256":
            raise BuilderError(f"the cache holds content by sha256, not by {digest}")
        return self._blobs / digest.hex[:2] / digest.hex

    def _seen(self, digest: Digest) -> _Seen | None:
        return _read(self.path(digest).with_suffix(".seen"), _Seen)

    def _note(self, digest: Digest, state: os.stat_result) -> None:
        self._write(self.path(digest).with_suffix(".seen"), _Seen(size=state.st_size, mtime_ns=state.st_mtime_ns))

    def _write(self, path: Path, model: BaseModel) -> None:
        with self.fresh() as (stream, name):
            stream.write(model.model_dump_json().encode())
            stream.flush()
            name.chmod(0o644)
            name.replace(path)

    def _sweep(self) -> None:
        oldest = time.time() - _LEFTOVER_SECONDS
        for leftover in self._new.iterdir():
            with suppress(FileNotFoundError):  # another build swept it first
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()


def _read(path: Path, model: type[ModelT]) -> ModelT | None:
    """A record, or None when there is none that can be read: it will be made again."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns an OSError while `path` is written into a BuilderError that says what to do."""
    try:
        yield
    except OSError as error:
        raise BuilderError(
            f"cannot store {path}: {error.strerror or error}",
            remedy="Free some space, or set MLBUILD_CACHE to a directory that can be written.",
        ) from error
