"""What an image is made of besides its base and wheels, as its provenance names it."""

from __future__ import annotations

from builder.lockfile import LockFile
from compliance.attest.provenance import Material
from compliance.bases import BaseDefinition
from compliance.inventory import Origin


def lock_materials(lock: LockFile, base: BaseDefinition) -> tuple[Material, ...]:
    """The Debian packages and models of a lock: every byte that goes into the image from outside the project."""
    debs = base.inventoried(lock.system.debs, Origin.DEPENDENCY, None) if lock.system is not None else ()
    return (
        *(Material("debian", deb.name, deb.sha256 or "", deb.url, deb.version) for deb in debs),
        *(Material("model", model.to, model.sha256, model.url) for model in lock.models),
    )
