"""Which wheels share a layer, and in which order the layers lie.

A big wheel is a layer of its own. Small ones are spread over a fixed number of buckets by a hash of their
name, so that one changed dependency changes one layer whatever else is in the image. Big wheels lie
lowest, the heaviest first, then the buckets; the order of any two wheels depends on the two alone, so
images that hold the same wheels agree in their lower layers.

Where two wheels hold the same path the later one wins, as it would for pip: in a bucket the later by
normalised name, across layers the upper. The earlier wheel's RECORD still lists the path, as with pip.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name

from builder.errors import BuilderError
from builder.layers.tar import Entry
from builder.layers.wheel import WheelInput

MAX_LAYERS: Final = 56
"""Of an image, base included: containerd has kept a layer's neighbours in a label that holds no more."""

BIG: Final = 16 << 20
"""Bytes, compressed: a wheel of this size or more is a layer of its own."""

BUCKETS: Final = 8


@dataclass(frozen=True, slots=True)
class WheelLayer:
    """The wheels of one layer, in the order in which they are laid over each other."""

    wheels: tuple[WheelInput, ...]

    def __str__(self) -> str:
        return ", ".join(str(wheel) for wheel in self.wheels)


def plan_layers(wheels: Iterable[WheelInput], *, base_layers: int) -> tuple[WheelLayer, ...]:
    """The layers for these wheels from the bottom up; their order in `wheels` does not matter.

    `base_layers` are already below, and one is left free for the project's files above. When there are
    more big wheels than layers the lightest of them go to the buckets. Raises BuilderError when a project
    is there twice or the base leaves no room.
    """
    room = MAX_LAYERS - base_layers - BUCKETS - 1
    if room < 0:
        raise BuilderError(
            f"a base of {base_layers} layers leaves too few of the {MAX_LAYERS} an image may have",
            remedy="Use a base image with fewer layers.",
        )
    by_weight = sorted(wheels, key=lambda wheel: (-wheel.size, canonicalize_name(wheel.name)))
    _refuse_twins(by_weight)
    alone = [wheel for wheel in by_weight if wheel.size >= BIG][:room]
    buckets: dict[int, list[WheelInput]] = {}
    for wheel in by_weight[len(alone) :]:
        buckets.setdefault(bucket(wheel.name), []).append(wheel)
    return (
        *(WheelLayer((wheel,)) for wheel in alone),
        *(WheelLayer(tuple(sorted(buckets[number], key=_by_name))) for number in sorted(buckets)),
    )


def bucket(name: str) -> int:
    """The bucket of a project, from its normalised name alone."""
    return hashlib.sha256(canonicalize_name(name).encode()).digest()[0] % BUCKETS


def overlay(wheels: Iterable[Sequence[Entry]]) -> list[Entry]:
    """The entries of several wheels as one tree: of entries with the same path the last one stays."""
    tree: dict[str, Entry] = {}
    for entries in wheels:
        tree.update((entry.path, entry) for entry in entries)
    return list(tree.values())


def _by_name(wheel: WheelInput) -> str:
    return canonicalize_name(wheel.name)


def _refuse_twins(wheels: Iterable[WheelInput]) -> None:
    twice = sorted(name for name, count in Counter(map(_by_name, wheels)).items() if count > 1)
    if twice:
        raise BuilderError(f"{twice[0]} is to be installed twice", remedy="Lock again.")
