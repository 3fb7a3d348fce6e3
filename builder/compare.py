"""What lies between two images or locks: packages, layers, bytes and verdict, platform by platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compliance.oci.digest import Digest
from compliance.policy.decision import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """What the policies here say: the verdict, and the rules that deny. Without a verdict, `why` there is none."""

    verdict: Verdict | None
    rules: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One side of a comparison, on one platform.

    `packages` are versions by purl without version. `layers` are compressed sizes in bytes by blob digest;
    None for a lock, which has no layers yet.
    """

    platform: str
    packages: Mapping[str, str]
    layers: Mapping[Digest, int] | None
    judged: Judged


@dataclass(frozen=True, slots=True)
class LayerChange:
    """How many layers both have, how many only the new one has, and the compressed size of those in bytes."""

    shared: int
    added: int
    bytes_added: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """From one snapshot to another: `(purl, old version, new version)` where they differ, None for not there.

    `layers` is None where a side has none to compare.
    """

    packages: tuple[tuple[str, str | None, str | None], ...]
    layers: LayerChange | None
    before: Judged
    after: Judged


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """What changes from `old` to `new`."""
    changed = tuple(
        (name, old.packages.get(name), new.packages.get(name))
        for name in sorted({*old.packages, *new.packages})
        if old.packages.get(name) != new.packages.get(name)
    )
    return Comparison(changed, _layers(old.layers, new.layers), old.judged, new.judged)


def compare_platforms(old: Sequence[Snapshot], new: Sequence[Snapshot]) -> dict[str, Comparison | None]:
    """What changes on each platform; None where only one side has it. One image each are compared in any case."""
    if len(old) == len(new) == 1:
        return {new[0].platform: compare(old[0], new[0])}
    before = {one.platform: one for one in old}
    after = {one.platform: one for one in new}
    return {
        platform: compare(before[platform], after[platform]) if platform in before and platform in after else None
        for platform in sorted(before.keys() | after.keys())
    }


def _layers(old: Mapping[Digest, int] | None, new: Mapping[Digest, int] | None) -> LayerChange | None:
    if old is None or new is None:
        return None
    added = {digest: size for digest, size in new.items() if digest not in old}
    return LayerChange(len(new) - len(added), len(added), sum(added.values()))
