"""Which wheels share a layer, and in which order the layers lie.

A big wheel is a layer of its own. Small ones are spread over a fixed number of buckets by a hash of their
name, so that one changed dependency changes one layer whatever else is in the image. Big wheels lie
lowest, the heaviest first, then the buckets; the order of any two wheels depends on the two alone, so
images that hold the same wheels agree in their lower layers.

A layer over LAYER_LIMIT is split where the number of layers allows it: a bucket by further bits of the
same hash, down to single wheels; a wheel along its sorted paths, with its `.dist-info` in the last part, so
that it counts as installed where all of it is there. A file is never split.

Where two wheels hold the same path the later one wins, as it would for pip: in a bucket the later by
normalised name, across layers the upper. The earlier wheel's RECORD still lists the path, as with pip.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name

from builder.errors import BuilderError
from builder.layers.inputs import WheelInput
from builder.layers.tar import Entry

MAX_LAYERS: Final = 56
"""Of an image, base included: containerd has kept a layer's neighbours in a label that holds no more."""

BIG: Final = 2 << 20
"""Bytes, compressed: a wheel of this size or more is a layer of its own.

So a bucket is seldom more than a few MB, and that is what a change of a small wheel costs to make and to push. Of
the wheels of a usual project one in four is that big."""

BUCKETS: Final = 8

LAYER_LIMIT: Final = 2_000_000_000
"""Bytes, uncompressed: what a layer should not exceed."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a wheel installs: bytes in a tar, and how many layers it takes when none exceeds the limit."""

    size: int
    parts: int = 1


@dataclass(frozen=True, slots=True)
class WheelLayer:
    """The wheels of one layer, in the order in which they are laid over each other.

    A wheel that is split is alone in its layers, which are numbered from 1 to `parts`, the lowest first.
    """

    wheels: tuple[WheelInput, ...]
    part: int = 1
    parts: int = 1

    def __str__(self) -> str:
        names = ", ".join(str(wheel) for wheel in self.wheels)
        return names if self.parts == 1 else f"{names} (part {self.part} of {self.parts})"

    @property
    def completes(self) -> tuple[WheelInput, ...]:
        """The wheels whose metadata is in this layer."""
        return self.wheels if self.part == self.parts else ()


def plan_layers(
    wheels: Iterable[WheelInput],
    *,
    base_layers: int,
    trees: Mapping[str, Tree] | None = None,
    limit: int = LAYER_LIMIT,
) -> tuple[WheelLayer, ...]:
    """The layers for these wheels from the bottom up; their order in `wheels` does not matter.

    `base_layers` are already below, and one is left free for the project's files above. When there are
    more big wheels than layers the lightest of them go to the buckets. `trees`, by sha256, tells what is
    over the `limit`; without it nothing is split. Raises BuilderError when a project is there twice or the
    base leaves no room.
    """
    room = MAX_LAYERS - base_layers - 1
    if room < BUCKETS:
        raise BuilderError(
            f"a base of {base_layers} layers leaves too few of the {MAX_LAYERS} an image may have",
            remedy="Use a base image with fewer layers.",
        )
    by_weight = sorted(wheels, key=lambda wheel: (-wheel.size, canonicalize_name(wheel.name)))
    _refuse_twins(by_weight)
    alone = min(room - BUCKETS, sum(wheel.size >= BIG for wheel in by_weight))
    if trees is None:
        return tuple(WheelLayer(group) for group in _groups(by_weight, alone))
    for fewer in range(alone, -1, -1):
        layers = tuple(part for group in _groups(by_weight, fewer) for part in split(group, trees, limit))
        if len(layers) <= room:
            return layers
    return tuple(WheelLayer(group) for group in _groups(by_weight, alone))


def split(wheels: tuple[WheelInput, ...], trees: Mapping[str, Tree], limit: int, bit: int = 8) -> list[WheelLayer]:
    """One layer of a plan as layers within the limit. `bit` counts the bits of the hash that were looked at."""
    if len(wheels) == 1:
        parts = trees[wheels[0].sha256].parts
        return [WheelLayer(wheels, part, parts) for part in range(1, parts + 1)]
    if sum(trees[wheel.sha256].size for wheel in wheels) <= limit:
        return [WheelLayer(wheels)]
    halves: tuple[list[WheelInput], list[WheelInput]] = ([], [])
    for wheel in wheels:
        halves[_hash(wheel.name)[bit // 8] >> bit % 8 & 1].append(wheel)
    return [layer for half in halves if half for layer in split(tuple(half), trees, limit, bit + 1)]


def bucket(name: str) -> int:
    """The bucket of a project, from its normalised name alone."""
    return _hash(name)[0] % BUCKETS


def overlay(wheels: Iterable[Sequence[Entry]]) -> list[Entry]:
    """The entries of several wheels as one tree: of entries with the same path the last one stays."""
    tree: dict[str, Entry] = {}
    for entries in wheels:
        tree.update((entry.path, entry) for entry in entries)
    return list(tree.values())


def _groups(by_weight: Sequence[WheelInput], alone: int) -> list[tuple[WheelInput, ...]]:
    """The first `alone` wheels each for itself, then the buckets."""
    buckets: dict[int, list[WheelInput]] = {}
    for wheel in by_weight[alone:]:
        buckets.setdefault(bucket(wheel.name), []).append(wheel)
    return [
        *((wheel,) for wheel in by_weight[:alone]),
        *(tuple(sorted(buckets[number], key=_by_name)) for number in sorted(buckets)),
    ]


def _hash(name: str) -> bytes:
    return hashlib.sha256(canonicalize_name(name).encode()).digest()


def _by_name(wheel: WheelInput) -> str:
    return canonicalize_name(wheel.name)


def _refuse_twins(wheels: Iterable[WheelInput]) -> None:
    twice = sorted(name for name, count in Counter(map(_by_name, wheels)).items() if count > 1)
    if twice:
        raise BuilderError(f"{twice[0]} is to be installed twice", remedy="Lock again.")
