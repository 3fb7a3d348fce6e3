"""The cache itself: putting files in, finding them again, and making a layer at most once."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel

from builder.cache.records import Known, LayerRecord, ModelT, Recipe, Seen, StoredLayer, read_record
from builder.cache.sessions import Sessions
from builder.errors import BuilderError
from builder.layers.tar import CHUNK, WrittenLayer
from compliance.oci.digest import Digest

RECORDS: Final = "records"
"""The directory of small records, by kind."""

_KNOWN: Final = "files"
_LEFTOVER_SECONDS: Final = 24 * 60 * 60
_REMEMBERED_SIZE: Final = 1 << 20
_CLOCK_TICK: Final = 2.0


class Cache:
    """A directory that several builds may share. It is made when it does not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._blobs = self.directory("blobs") / "sha256"
        self._layers = self.directory("layers")
        self._new = self.directory("new")
        sessions = self.directory("sessions")
        with storing(sessions):
            self.sessions = Sessions(sessions)
        self._sweep()

    def directory(self, name: str) -> Path:
        """A directory of the cache for somebody's own files. Raises BuilderError when it cannot be made."""
        path = self.root / name
        with storing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def records(self, kind: str) -> Path:
        """The directory of what is remembered under `kind`, as JSON files. Using one touches it; see `prune`."""
        return self.directory(f"{RECORDS}/{kind}")

    def get(self, digest: Digest) -> Path | None:
        """The file with this digest, or None. It costs a few system calls unless the file looks altered.

        A file that was given out is kept at least until the session of this object ends.
        """
        path = self.path(digest)
        note = path.with_suffix(".seen")
        with self.sessions.guarded():
            try:
                state = path.stat()
            except OSError:
                return None
            if read_record(note, Seen) == Seen(size=state.st_size, mtime_ns=state.st_mtime_ns):
                os.utime(note)
                return path
            note.touch()  # an empty note says nothing of the content, but that it is in use
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
            self._note(digest, file.stat())  # first, so that the file is in use from the moment it is there
            file.replace(path)
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
        name = Digest.of(os.fsencode(file.absolute())).hex
        if state.st_size >= _REMEMBERED_SIZE:
            known = self.recall(_KNOWN, name, Known)
            if known is not None and known.identity == identity:
                return known.digest
        started = time.time()
        with file.open("rb") as stream:
            digest = Digest.of_chunks(iter(lambda: stream.read(CHUNK), b""))
        if state.st_size >= _REMEMBERED_SIZE and state.st_ctime < started - _CLOCK_TICK:
            self.remember(_KNOWN, name, Known(identity=identity, digest=digest))
        return digest

    def layer(self, recipe: Recipe) -> StoredLayer | None:
        """The layer this recipe gave before, or None when it was never made or its blob is gone."""
        record = read_record(self._layers / f"{recipe.key}.json", LayerRecord)
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
        record = LayerRecord(descriptor=written.descriptor, diff_id=written.diff_id, tar_size=written.tar_size)
        self._write(self._layers / f"{recipe.key}.json", record)
        return StoredLayer(written.descriptor, written.diff_id, written.tar_size, path)

    def recall(self, kind: str, name: str, model: type[ModelT]) -> ModelT | None:
        """What was remembered under this name, or None when nothing is that can be read.

        What was recalled is kept at least until the session of this object ends.
        """
        path = self.root / RECORDS / kind / f"{name}.json"
        with self.sessions.guarded(), suppress(FileNotFoundError):
            os.utime(path)
        return read_record(path, model)

    def remember(self, kind: str, name: str, record: BaseModel) -> None:
        """Keep a small record, such as what was found in a file of this digest, under `kind`/`name`.json."""
        self._write(self.records(kind) / f"{name}.json", record)

    def path(self, digest: Digest) -> Path:
        """Where the file with this digest is, or would be."""
        if digest.algorithm != "sha256":
            raise BuilderError(f"the cache holds content by sha256, not by {digest}")
        return self._blobs / digest.hex[:2] / digest.hex

    def _note(self, digest: Digest, state: os.stat_result) -> None:
        self._write(self.path(digest).with_suffix(".seen"), Seen(size=state.st_size, mtime_ns=state.st_mtime_ns))

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
