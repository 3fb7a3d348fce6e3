"""Bytecode of the installed packages, made by the base's own interpreter: layers of `.pyc` files.

Each wheel's sources are compiled once for a base, by `compile_sources` in a sandbox, and kept. The files
are of the unchecked-hash kind (PEP 552): they hold no time, and the interpreter takes them without a look
at the source. So what must never be is a `.pyc` beside another source than its own: where several wheels
hold the same path, only the bytecode of the one that ends up in the image is taken.

They lie above the wheels in a fixed number of layers, by a hash of the wheel's name, so that one changed
dependency changes one of them. A wheel's RECORD does not list them; it need not (Python Packaging User
Guide, "Recording installed projects"): an uninstaller removes bytecode along with its source.
"""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, BinaryIO, Final

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from builder.cache import Cache, Recipe, StoredLayer
from builder.errors import BuilderError
from builder.image import BaseImage, ImageLayer, ImageSettings
from builder.inside.programs import program
from builder.inside.sandbox import open_sandbox
from builder.inside.slices import slice_of
from builder.layers.inputs import Environment, WheelInput
from builder.layers.plan import bucket
from builder.layers.tar import Compression, Entry, WrittenLayer, of_bytes, write_layer
from builder.layers.wheel import open_wheel
from builder.progress import Progress
from compliance.inventory import Origin
from compliance.oci.digest import Digest
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members

LAYERS: Final = 8
"""How many layers the bytecode of an image takes at most: the number of buckets."""

_LENGTH: Final = struct.Struct(">Q")
_KIND: Final = "bytecode"


@dataclass(frozen=True, slots=True)
class _Source:
    """A source as it is in the image, and its wheel."""

    wheel: WheelInput
    entry: Entry

    def cached(self, environment: Environment) -> str:
        """The path of its bytecode (PEP 3147)."""
        return cached_path(self.entry.path, environment.python)


class _Sources(BaseModel):
    """The paths in the image of a wheel's sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[str, ...]


def cached_path(source: str, python: str) -> str:
    """Where CPython `python` (3.11) looks for the bytecode of a source: `a/__pycache__/b.cpython-311.pyc`."""
    folder, name = posixpath.split(source)
    tag = f"cpython-{python.replace('.', '')}"
    return posixpath.join(folder, "__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc")


def bytecode_layers(
    wheels: Sequence[WheelInput],
    base: BaseImage,
    base_digest: Digest,
    environment: Environment,
    cache: Cache,
    progress: Progress,
    *,
    compression: Compression = Compression.GZIP,
) -> list[ImageLayer]:
    """The layers of bytecode for these wheels, which stand in the order in which they are laid over each other.

    Only what is not in the cache is compiled. Raises BuilderError when that fails.
    """
    maker = _Maker(base_digest, environment, cache)
    missing = [wheel for wheel in wheels if cache.layer(maker.recipe(wheel)) is None]
    if missing:
        progress.step(f"Compiling the sources of {len(missing)} of {len(wheels)} packages to bytecode")
        maker.compile(missing, base)
    shadowed = maker.shadowed(wheels)
    buckets: dict[int, list[WheelInput]] = {}
    for wheel in sorted(wheels, key=lambda wheel: canonicalize_name(wheel.name)):
        buckets.setdefault(bucket(wheel.name), []).append(wheel)
    return [maker.layer(buckets[number], shadowed, compression) for number in sorted(buckets)]


def uncompiled(
    wheels: Sequence[WheelInput], base_digest: Digest, environment: Environment, cache: Cache
) -> frozenset[str]:
    """The wheels, by sha256, that must be there for `bytecode_layers`."""
    maker = _Maker(base_digest, environment, cache)
    return frozenset(wheel.sha256 for wheel in wheels if not maker.is_known(wheel))


class _Maker:
    def __init__(self, base: Digest, environment: Environment, cache: Cache) -> None:
        self._base = base
        self._environment = environment
        self._cache = cache

    def recipe(self, wheel: WheelInput) -> Recipe:
        """Of the bytecode of one wheel, which is kept as a layer by itself."""
        inputs = (wheel.digest, self._base)
        return Recipe(_KIND, inputs, self._environment.prefix, self._environment.python)

    def compile(self, wheels: Sequence[WheelInput], base: BaseImage) -> None:
        """Compile the sources of these wheels in one go, and keep each wheel's."""
        with (
            ExitStack() as stack,
            NamedTemporaryFile(prefix="mlbuild-sources-") as asked,
            NamedTemporaryFile(prefix="mlbuild-bytecode-") as made,
        ):
            sources: list[_Source] = []
            for wheel in wheels:
                entries = stack.enter_context(open_wheel(wheel, self._environment))
                sources += [_Source(wheel, entry) for entry in entries if self._is_source(entry)]
            for source in sources:
                _send(source.entry, asked.file)
            asked.seek(0)
            sandbox = stack.enter_context(open_sandbox(base, (), ImageSettings("bytecode"), self._cache))
            command = [self._environment.interpreter, "-P", "-s", "-S", "-W", "ignore", "-c"]
            sandbox.run([*command, program("compile_sources")], stdin=asked.file, stdout=made.file, directory="/")
            made.flush()
            found: dict[str, list[Entry]] = {wheel.sha256: [] for wheel in wheels}
            for source, (offset, size) in zip(sources, _sizes(Path(made.name), len(sources)), strict=True):
                if size:
                    content = slice_of(Path(made.name), offset, size)
                    entry = Entry(source.cached(self._environment), size=size, content=content)
                    found[source.wheel.sha256].append(entry)
            for wheel in wheels:
                self._cache.make_layer(self.recipe(wheel), partial(write_layer, found[wheel.sha256]))

    def shadowed(self, wheels: Sequence[WheelInput]) -> Mapping[str, tuple[str, ...]]:
        """The bytecode of each wheel, by its sha256, that is not for the source which ends up at its place."""
        held = {wheel.sha256: self._sources(wheel) for wheel in wheels}
        owner = {path: sha256 for sha256, paths in held.items() for path in paths}
        python = self._environment.python
        return {
            sha256: tuple(cached_path(path, python) for path in paths if owner[path] != sha256)
            for sha256, paths in held.items()
        }

    def is_known(self, wheel: WheelInput) -> bool:
        """Whether all that is asked of the wheel itself is in the cache."""
        return self._cache.layer(self.recipe(wheel)) is not None and self._noted(wheel) is not None

    def _sources(self, wheel: WheelInput) -> tuple[str, ...]:
        known = self._noted(wheel)
        if known is None:
            with open_wheel(wheel, self._environment) as entries:
                known = _Sources(paths=tuple(entry.path for entry in entries if self._is_source(entry)))
            self._cache.remember(_KIND, self._name(wheel), known)
        return known.paths

    def _noted(self, wheel: WheelInput) -> _Sources | None:
        return self._cache.recall(_KIND, self._name(wheel), _Sources)

    def _name(self, wheel: WheelInput) -> str:
        return Digest.of(f"{wheel.sha256} {self._environment.prefix} {self._environment.python}".encode()).hex

    def layer(
        self, wheels: Sequence[WheelInput], shadowed: Mapping[str, tuple[str, ...]], compression: Compression
    ) -> ImageLayer:
        """One layer of the image, out of the bytecode of several wheels."""
        parts = [self._made(wheel) for wheel in wheels]
        lost = [shadowed.get(wheel.sha256, ()) for wheel in wheels]
        inputs = (*(part.diff_id for part in parts), *(path for paths in lost for path in ("", *paths)))
        environment = self._environment
        recipe = Recipe(f"{_KIND} of several", inputs, environment.prefix, environment.python, compression)

        def write(blob: BinaryIO) -> WrittenLayer:
            entries = [
                entry
                for part, paths in zip(parts, lost, strict=True)
                for entry in _entries_of(part)
                if entry.path not in paths
            ]
            return write_layer(entries, blob, compression=compression)

        stored = self._cache.make_layer(recipe, write)
        names = " ".join(f"{canonicalize_name(wheel.name)}=={wheel.version}" for wheel in wheels)
        return ImageLayer(
            stored.descriptor,
            stored.diff_id,
            stored.tar_size,
            stored.path,
            Origin.DEPENDENCY,
            contents=f"bytecode of {names}",
        )

    def _made(self, wheel: WheelInput) -> StoredLayer:
        stored = self._cache.layer(self.recipe(wheel))
        if stored is None:
            raise BuilderError(f"the bytecode of {wheel} is gone from the cache", remedy="Build again.")
        return stored

    def _is_source(self, entry: Entry) -> bool:
        top = f"{self._environment.prefix.strip('/')}/{self._environment.site_packages}/"
        return entry.content is not None and entry.path.startswith(top) and entry.path.endswith(".py")


def _send(entry: Entry, sink: IO[bytes]) -> None:
    assert entry.content is not None  # noqa: S101 - _is_source has seen to it
    path = f"/{entry.path}".encode()
    sink.write(_LENGTH.pack(len(path)) + _LENGTH.pack(entry.size) + path)
    with entry.content() as stream:
        while chunk := stream.read(entry.size or 1):
            sink.write(chunk)


def _sizes(made: Path, count: int) -> Iterator[tuple[int, int]]:
    """Where each .pyc stands in what the program wrote, and its length in bytes."""
    with made.open("rb") as stream:
        for _ in range(count):
            head = stream.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                raise BuilderError("the base's interpreter compiled fewer sources than it was given")
            size = _LENGTH.unpack(head)[0]
            yield stream.tell(), size
            stream.seek(size, 1)


def _entries_of(layer: StoredLayer) -> Iterator[Entry]:
    """The files of a layer, in memory: the bytecode of one wheel is small."""
    with open_layer(layer.path) as stream:
        for path, _, content in members(stream):
            if content is not None:
                yield of_bytes(path.lstrip("/"), content.read())
