"""What is in an image, from its bytes and nobody's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from compliance.bases import BaseDefinition, recognise
from compliance.errors import Unavailable
from compliance.evidence import Absent, Secret
from compliance.inventory import Base, Inventory, Layer, ModelFile, Origin, PrivilegedFile, Settings
from compliance.models import LayerMemory, read_files
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import ImageConfig
from gate.rulebook import Rules, Scanner

PREFIX: Final = "/opt/venv"
"""Where locked packages are, in images on a base that says nothing else."""

DEBIAN_PACKAGES: Final = PurePosixPath("/var/lib/dpkg")
"""Where Debian packages are listed, which count as dependencies above the base."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the bytes of one image say. What could not be read says why."""

    base: Base | Absent
    settings: Settings
    inventory: Inventory | Absent
    secrets: tuple[Secret, ...] | Absent
    models: tuple[ModelFile, ...] | Absent
    privileged: tuple[PrivilegedFile, ...] | Absent
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who brought a file: the base's layers are its own, the prefix and dpkg's database hold dependencies,
    the rest is the app's."""

    base_layers: frozenset[Digest]
    prefix: PurePosixPath

    @classmethod
    def of(cls, base: Base | Absent, bases: Sequence[BaseDefinition]) -> Attribution:
        if isinstance(base, Absent):
            return cls(frozenset(), PurePosixPath(PREFIX))
        prefix = next((each.prefix for each in bases if each.digest == base.digest), PREFIX)
        return cls(frozenset(base.diff_ids), PurePosixPath(prefix))

    def __call__(self, layer: Digest | None, path: str) -> Origin:
        if layer in self.base_layers:
            return Origin.BASE
        place = PurePosixPath("/" + path.lstrip("/"))
        locked = place.is_relative_to(self.prefix) or place.is_relative_to(DEBIAN_PACKAGES)
        return Origin.DEPENDENCY if locked else Origin.APP


def read_image(
    layout: Layout, digest: Digest, config: ImageConfig, rules: Rules, memory: LayerMemory, limit: int
) -> Reading:
    """Read the image `digest` in `layout`. Layers in `memory` are not read again, and all together may unpack
    to `limit` bytes.

    Raises WrongLayer when the layers are not the ones `config` names, and InvalidInput when the bytes are not
    what an image can hold.
    """
    base = recognise(config.rootfs.diff_ids, rules.bases)
    origin_of = Attribution.of(base, rules.bases)
    # First, since it finds out whether the layers are true; the scanner believes what a diffID says.
    files = read_files(layout, digest, origin_of, memory=memory, limit=limit)
    inventory, secrets = _scan(layout, digest, rules.scanner, origin_of)
    manifest, _ = layout.image(digest)
    return Reading(
        base=base,
        settings=settings_of(config),
        inventory=inventory,
        secrets=secrets,
        models=files.models,
        privileged=files.privileged,
        layers=Layer.of(manifest, config, origin_of.base_layers),
    )


def _scan(
    layout: Layout, digest: Digest, scanner: Scanner | Unavailable, origin_of: Attribution
) -> tuple[Inventory | Absent, tuple[Secret, ...] | Absent]:
    try:
        if isinstance(scanner, Unavailable):
            raise scanner
        found = scanner.trivy.read_image(layout.root, digest, origin_of=origin_of)
    except Unavailable as error:
        absent = Absent(error.message)
        return absent, absent
    order = sorted(found.packages, key=lambda package: (package.purl, package.layer or ""))
    return Inventory(found.os, tuple(order)), found.secrets


def settings_of(config: ImageConfig) -> Settings:
    """What the image config makes a runtime do."""
    runtime = config.config
    return Settings(
        user=runtime.user or "",
        entrypoint=runtime.entrypoint or (),
        command=runtime.cmd or (),
        environment=runtime.env or (),
        exposed_ports=tuple(sorted(runtime.exposed_ports or {})),
        labels=tuple(sorted((runtime.labels or {}).items())),
        working_dir=runtime.working_dir or "",
    )
