"""Building a published image again, from its own provenance and files, to see whether it is what it claims."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

from builder import pipeline
from builder.lock_reader import parse_lock
from builder.lockfile import LOCK_NAME, LockFile
from builder.platforms import each_platform
from builder.project import Project
from builder.published import PublishedImage
from builder.spec import read_spec
from builder.workshop import Workshop
from compliance.attest.provenance import PREDICATE_TYPE, read_provenance, read_sources
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members
from compliance.oci.manifest import ImageConfig
from compliance.oci.registry import RegistryClient

APP: Final = "/app/"

_NOT_TAKEN: Final = shutil.ignore_patterns(".git", ".mlbuild", ".venv")


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer of the published image and the one built in its place. `made_by` is from the image's history."""

    made_by: str
    published: Digest | None
    built: Digest | None

    @property
    def same(self) -> bool:
        return self.published == self.built


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of building again. The digests are of the manifests."""

    published: Digest
    built: Digest
    layers: tuple[LayerPair, ...]

    @property
    def same(self) -> bool:
        return self.published == self.built


def reproduce(
    client: RegistryClient, image: PublishedImage, workshop: Workshop, files: Path | None
) -> Reproduction:
    """Build `image` again and compare.

    Spec and lock come from its signed provenance, packages from where the lock says, and the project's own
    files from `files`, or where that is None from the image itself. Raises InvalidInput when the provenance
    is missing, or the base that it names is no longer the one in base-images/.
    """
    statement = image.statement(PREDICATE_TYPE)
    provenance, _ = read_provenance(statement, "")
    spec_file, lock_raw = read_sources(statement)
    with tempfile.TemporaryDirectory(prefix="mlbuild-reproduce-") as name:
        root = Path(name)
        spec_path = root / spec_file.name
        if files is None:
            _take_app_files(client, image, root)
        else:
            shutil.copytree(files, root, symlinks=True, dirs_exist_ok=True, ignore=_NOT_TAKEN)
        spec_path.write_text(spec_file.content, encoding="utf-8")
        (root / LOCK_NAME).write_bytes(lock_raw)
        project, lock = on_its_platform(spec_path, parse_lock(lock_raw, root / LOCK_NAME), image)
        base = workshop.base(project.spec.base, project.architecture)
        if base.digest != provenance.base:
            raise InvalidInput(
                f"the image stands on {base.name} as {provenance.base}, and base-images/ has it as {base.digest}",
                remedy="Check out base-images/ as it was when the image was built.",
            )
        built = pipeline.build(project, workshop.signing_with(root / "key.pem"), lock).image
        return Reproduction(image.digest, built.digest, _pairs(image, built.config))


def on_its_platform(spec_path: Path, lock: LockFile, image: PublishedImage) -> tuple[Project, LockFile]:
    """The project and its lock as the image's platform sees them."""
    project = Project(spec_path, read_spec(spec_path))
    for one, part in each_platform(project, lock):
        if one.architecture == image.config.architecture:
            return one, replace(part, further=())
    raise InvalidInput(
        f"the image is for linux/{image.config.architecture}, and its provenance's spec is not",
        remedy="Do not trust the image: its provenance is of another one.",
    )


def _pairs(image: PublishedImage, built: ImageConfig) -> tuple[LayerPair, ...]:
    history = [entry.created_by or "" for entry in image.config.history or () if not entry.empty_layer]
    pairs = zip_longest(image.config.rootfs.diff_ids, built.rootfs.diff_ids, history)
    return tuple(LayerPair(made_by or "", published, made) for published, made, made_by in pairs)


def _take_app_files(client: RegistryClient, image: PublishedImage, root: Path) -> None:
    """Write the project's own files, as they are in the image's last layer that holds any, below `root`."""
    for layer in image.manifest.layers[::-1]:
        blob = root / ".layer"
        with client.open_blob(image.reference.repository, layer.digest) as chunks, blob.open("wb") as stream:
            stream.writelines(chunks)
        found = False
        with open_layer(blob) as tar:
            for path, member, content in members(tar):
                if not path.startswith(APP):
                    continue
                target = root / path.removeprefix(APP)
                if content is not None:
                    found = True
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as stream:
                        shutil.copyfileobj(content, stream)
                    target.chmod(member.mode & 0o777)
                elif member.issym():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(member.linkname)
        blob.unlink()
        if found:
            return
