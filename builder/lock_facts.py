"""A lock as others see it: as evidence for policies, and as parts of an image."""

from __future__ import annotations

from collections.abc import Mapping

from builder.lockfile import LockFile
from compliance.evidence import Lock, LockedPackage
from compliance.inventory import Ecosystem, Origin, Package
from compliance.oci.digest import Digest


def as_evidence(lock: LockFile) -> Lock:
    """The lock as policies see it."""
    packages = (
        LockedPackage(
            name=wheel.name,
            version=wheel.version,
            sha256=wheel.sha256,
            url=wheel.url,
            index=wheel.index,
            upload_time=wheel.upload_time,
            yanked=wheel.yanked,
        )
        for wheel in lock.wheels
    )
    return Lock(lock.digest, tuple(packages))


def inventory_packages(lock: LockFile, layer_of: Mapping[str, Digest] | None = None) -> tuple[Package, ...]:
    """The locked packages as parts of an image, sorted by purl. `layer_of` gives the layer of each, by name."""
    purls = {wheel.name: wheel.purl for wheel in lock.wheels}
    packages = (
        Package(
            purl=wheel.purl,
            name=wheel.name,
            version=wheel.version,
            ecosystem=Ecosystem.PYPI,
            origin=Origin.DEPENDENCY,
            layer=layer_of[wheel.name] if layer_of is not None else None,
            licence=wheel.licence,
            sha256=wheel.sha256,
            url=wheel.url,
            chain=wheel.chain,
            depends_on=tuple(sorted(purls[name] for name in wheel.depends_on)),
        )
        for wheel in lock.wheels
    )
    return tuple(sorted(packages, key=lambda package: package.purl))
