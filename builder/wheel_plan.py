"""The plan of the layers of wheels: what each is made from, what is noted of wheels, and which must be here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from builder.cache import Cache, Recipe
from builder.layers.archive import Archive
from builder.layers.inputs import Environment, WheelInput
from builder.layers.plan import LAYER_LIMIT, Tree, WheelLayer, overlay, plan_layers
from builder.layers.tar import LAYOUT_VERSION, Compression, Entry, WrittenLayer, write_layer
from builder.layers.tree import cut, measure_tree
from builder.layers.wheel import Read, open_wheel
from builder.lockfile import LockedWheel
from compliance.oci.digest import Digest

_TREES: Final = "trees"


def wheel_input(wheel: LockedWheel, cache: Cache) -> WheelInput:
    """A locked wheel at the place that it has in the cache once it is there."""
    path = cache.path(Digest(f"sha256:{wheel.sha256}"))
    return WheelInput(path, wheel.name, wheel.version, wheel.sha256, wheel.direct, wheel.size)


@dataclass(frozen=True, slots=True)
class LayerRules:
    """What layers of wheels depend on besides the wheels. `limit` is in bytes, uncompressed."""

    base_layers: int
    environment: Environment = Environment()  # noqa: RUF009 - frozen
    compression: Compression = Compression.GZIP
    limit: int = LAYER_LIMIT

    def plan(self, wheels: Sequence[WheelInput], trees: Mapping[str, Tree] | None = None) -> list[WheelJob]:
        layers = plan_layers(wheels, base_layers=self.base_layers, trees=trees, limit=self.limit)
        return [WheelJob(layer, self) for layer in layers]


Reading = Callable[[WheelInput], AbstractContextManager[Read]]


@contextmanager
def _plainly(_wheel: WheelInput) -> Iterator[Read]:
    yield Archive.stream


@dataclass(frozen=True, slots=True)
class WheelJob:
    """One layer to make."""

    layer: WheelLayer
    rules: LayerRules

    @property
    def recipe(self) -> Recipe:
        inputs = tuple(
            f"{canonicalize_name(wheel.name)} {wheel.version} {wheel.digest}{' requested' * wheel.direct}"
            for wheel in self.layer.wheels
        )
        if self.layer.parts > 1:
            inputs += (f"part {self.layer.part} of {self.layer.parts}, {self.rules.limit}",)
        environment = self.rules.environment
        return Recipe("wheels", inputs, environment.prefix, environment.python, self.rules.compression)

    @property
    def size(self) -> int:
        """Bytes of wheels to read, compressed."""
        return sum(wheel.size for wheel in self.layer.wheels) // self.layer.parts

    @property
    def packages(self) -> tuple[tuple[str, str], ...]:
        return tuple((canonicalize_name(wheel.name), wheel.version) for wheel in self.layer.completes)

    def write(self, blob: BinaryIO, reading: Reading = _plainly) -> WrittenLayer:
        """Write the layer. `reading` is entered for each wheel, and says how to read it."""
        environment = self.rules.environment
        with ExitStack() as opened, ExitStack() as readers:  # archives are open until the readers are through
            reads = {wheel.sha256: readers.enter_context(reading(wheel)) for wheel in self.layer.wheels}
            trees = [
                opened.enter_context(open_wheel(wheel, environment, reads[wheel.sha256]))
                for wheel in self.layer.wheels
            ]
            return write_layer(self._part(overlay(trees)), blob, compression=self.rules.compression)

    def _part(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if self.layer.parts == 1:
            return entries
        return cut(entries, self.rules.limit)[self.layer.part - 1]


def settled_plan(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> list[WheelJob]:
    """The layers of these wheels, which are on disk unless they were measured before."""
    return rules.plan(wheels, {wheel.sha256: tree_of(wheel, rules, cache) for wheel in wheels})


def foreseen_plan(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> tuple[list[WheelJob], bool]:
    """The layers as far as they can be told without downloading, and whether that is for certain.

    It is when every wheel was measured before, or is there.
    """
    for wheel in wheels:
        if _noted(wheel, rules, cache) is None and cache.get(wheel.digest) is not None:
            tree_of(wheel, rules, cache)
    return noted_plan(wheels, rules, cache)


def noted_plan(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> tuple[list[WheelJob], bool]:
    """The layers as far as they can be told from notes alone, and whether that is for certain."""
    noted = {wheel.sha256: _noted(wheel, rules, cache) for wheel in wheels}
    small = Tree(0)  # most wheels are
    trees = {sha256: tree or small for sha256, tree in noted.items()}
    return rules.plan(wheels, trees), None not in noted.values()


def unmade(jobs: Sequence[WheelJob], cache: Cache) -> list[WheelJob]:
    """The layers that are not in the cache."""
    return [job for job in jobs if cache.layer(job.recipe) is None]


def needed_for_layers(wheels: Sequence[WheelInput], rules: LayerRules, cache: Cache) -> frozenset[str]:
    """The wheels, by sha256, without which the layers cannot be made or not even planned.

    Those are of layers that are not in the cache, and those that were never measured. Where sizes are not
    locked and a wheel is not there, it is all of them.
    """
    if any(wheel.locked_size is None and cache.get(wheel.digest) is None for wheel in wheels):
        return frozenset(wheel.sha256 for wheel in wheels)
    jobs, _ = noted_plan(wheels, rules, cache)
    unmeasured = {wheel.sha256 for wheel in wheels if _noted(wheel, rules, cache) is None}
    return frozenset(unmeasured.union(wheel.sha256 for job in unmade(jobs, cache) for wheel in job.layer.wheels))


class _TreeRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    parts: int


def tree_of(wheel: WheelInput, rules: LayerRules, cache: Cache) -> Tree:
    """What a wheel installs, as noted in the cache; else measured, for which the wheel must be there."""
    known = _noted(wheel, rules, cache)
    if known is None:
        known = measure_tree(wheel, rules.environment, rules.limit)
        cache.remember(_TREES, _key(wheel, rules), _TreeRecord(size=known.size, parts=known.parts))
    return known


def _noted(wheel: WheelInput, rules: LayerRules, cache: Cache) -> Tree | None:
    record = cache.recall(_TREES, _key(wheel, rules), _TreeRecord)
    return None if record is None else Tree(record.size, record.parts)


def _key(wheel: WheelInput, rules: LayerRules) -> str:
    environment = rules.environment
    parts = f"{wheel.sha256} {environment.prefix} {environment.python} {rules.limit} {LAYOUT_VERSION}"
    return Digest.of(parts.encode()).hex
