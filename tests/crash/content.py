"""What is pushed: images that comply and images that do not, indexes, and evidence, true and forged."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from compliance.attest.bundle import sign_statement
from compliance.attest.keys import load_signer
from compliance.attest.provenance import SpecFile, slsa_statement
from compliance.attest.referrer import as_referrer
from compliance.attest.statement import subjects_for
from compliance.evidence import Lock
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    RootFs,
    RuntimeConfig,
)
from tests.gate.conftest import tar_of


class Nature(StrEnum):
    """What a gate should make of it."""

    GOOD = "good"
    ROOT = "root"
    OWNERLESS = "ownerless"
    INDEX = "index"
    EVIDENCE = "evidence"
    FORGED = "forged"

    @property
    def is_bad(self) -> bool:
        """Whether it is refused under every policy."""
        return self in {Nature.ROOT, Nature.FORGED}


@dataclass(frozen=True)
class Item:
    """One manifest with its blobs."""

    nature: Nature
    raw: bytes
    media_type: str
    blobs: Mapping[Digest, bytes]
    children: tuple[Item, ...] = ()
    subject: Digest | None = None

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.raw))


def image(random: Random, nature: Nature) -> Item:
    """An image of one layer that nobody has seen before."""
    tar = tar_of({"app/data": random.randbytes(64), "etc/os-release": b'ID=debian\nVERSION_ID="12"\n'})
    layer = gzip.compress(tar, mtime=0)
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(
            user="0" if nature is Nature.ROOT else "65532",
            labels=None if nature is Nature.OWNERLESS else {"owner": "team"},
        ),
        rootfs=RootFs(diff_ids=(Digest.of(tar),)),
    ).to_json()
    manifest = Manifest(
        config=Descriptor(media_type=OCI_CONFIG, digest=Digest.of(config), size=len(config)),
        layers=(Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(layer), size=len(layer)),),
    )
    blobs = {Digest.of(config): config, Digest.of(layer): layer}
    return Item(nature, manifest.to_json(), OCI_MANIFEST, blobs)


def index(children: tuple[Item, ...]) -> Item:
    raw = Index(manifests=tuple(child.descriptor for child in children)).to_json()
    return Item(Nature.INDEX, raw, OCI_INDEX, {}, children)


def evidence(key: Path, about: Item, *, forged: bool = False) -> Item:
    """A signed statement about an image; a forged one was signed about something else."""
    config = Digest(json.loads(about.raw)["config"]["digest"])
    told_of = Digest.of(b"something else") if forged else about.digest
    statement = slsa_statement(
        subjects_for("crash/app", told_of, Digest.of(b"its config") if forged else config),
        builder="urn:mlbuild:builder:local",
        spec=SpecFile("mlbuild.yaml", "image: crash/app\n"),
        layout_version=1,
        base_name="none",
        base=Digest.of(b"base"),
        lock=Lock(Digest.of(b"lock"), ()),
    )
    bundle = sign_statement(statement, load_signer(key))
    manifest, blobs = as_referrer(bundle, about.descriptor)
    found = {descriptor.digest: data for descriptor, data in blobs}
    nature = Nature.FORGED if forged else Nature.EVIDENCE
    return Item(nature, manifest.to_json(), OCI_MANIFEST, found, subject=about.digest)
