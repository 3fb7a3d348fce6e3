"""What lies between two images or locks: packages, layers and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builder.lock import inventory_packages
from builder.lockfile import LockFile
from builder.published import PublishedImage
from compliance.inventory import Inventory, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest
from compliance.sbom import PREDICATE_TYPE, from_cyclonedx
from compliance.strict_json import canonical


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One side of a comparison.

    `packages` are versions by purl without version. `layers` are compressed sizes in bytes by blob digest;
    None for a lock, which has no layers yet.
    """

    name: str
    packages: Mapping[str, str]
    layers: Mapping[Digest, int] | None


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


def of_lock(lock: LockFile, below: Iterable[Package]) -> Snapshot:
    """A lock on its base, whose packages are `below`."""
    return Snapshot(str(lock.path), _versions((*below, *inventory_packages(lock))), None)


def of_image(name: str, inventory: Inventory, manifest: Manifest) -> Snapshot:
    """An image and what is in it."""
    return Snapshot(name, _versions(inventory.packages), {layer.digest: layer.size for layer in manifest.layers})


def of_published(image: PublishedImage) -> Snapshot:
    """An image in a registry, by its signed SBOM. Raises InvalidInput when no trusted key signed one."""
    claimed = from_cyclonedx(canonical(image.statement(PREDICATE_TYPE).predicate))
    return of_image(str(image.reference), claimed, image.manifest)


def compare(old: Snapshot, new: Snapshot) -> Comparison:
    """What changes from `old` to `new`."""
    changed = tuple(
        (name, old.packages.get(name), new.packages.get(name))
        for name in sorted({*old.packages, *new.packages})
        if old.packages.get(name) != new.packages.get(name)
    )
    if old.layers is None or new.layers is None:
        return Comparison(changed, None)
    added = {digest: size for digest, size in new.layers.items() if digest not in old.layers}
    return Comparison(changed, LayerChange(len(new.layers) - len(added), len(added), sum(added.values())))


def _versions(packages: Iterable[Package]) -> dict[str, str]:
    return {package.purl.partition("@")[0]: package.version for package in packages}
