"""The sides of a comparison: a lock, a project as it is built, or an image in a registry, on each platform."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from builder import pipeline
from builder.compare import Judged, Snapshot
from builder.evidence import inventory_of
from builder.lock_reader import parse_lock, read_lock
from builder.lockfile import LOCK_NAME, LockFile
from builder.platform_image import known_by_lock_alone, known_of_image
from builder.project import Project, open_project
from builder.published import PublishedImage
from builder.reproduce import on_its_platform
from builder.spec import SPEC_NAME, read_spec
from builder.workshop import Workshop
from compliance.attest.provenance import PREDICATE_TYPE as PROVENANCE
from compliance.attest.provenance import read_provenance, read_sources
from compliance.errors import InvalidInput
from compliance.evidence import Evidence
from compliance.inventory import Inventory
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest
from compliance.policy.decision import Effect, Status
from compliance.policy.evaluate import evaluate
from compliance.sbom import PREDICATE_TYPE, from_cyclonedx
from compliance.strict_json import canonical

_OTHER_BASE = "its base is another one than base-images/ has now"


def of_directory(directory: Path, workshop: Workshop) -> tuple[Snapshot, ...]:
    """A project's image on each platform, built first where something has changed."""
    project = open_project(directory)
    built = pipeline.build(project, workshop)
    return tuple(
        Snapshot(
            one.platform,
            _versions(from_cyclonedx(image.evidence.sbom)),
            _layers(image.image.manifest),
            _judged(known_of_image(one, workshop, image), workshop),
        )
        for one, image in zip(project.each, built.each, strict=True)
    )


def of_lock_file(path: Path, workshop: Workshop, directory: Path) -> tuple[Snapshot, ...]:
    """A lock on each of its platforms, on the base as it is now.

    It is judged as a lock of the spec beside it, or where there is none of the project in `directory`.
    """
    lock = read_lock(path)
    return tuple(_of_lock(part, workshop, _spec_for(path, directory)) for part in lock.each)


def of_published(image: PublishedImage, workshop: Workshop) -> Snapshot:
    """An image in a registry, by what is signed about it: SBOM, and the spec and lock in its provenance.

    Raises InvalidInput when no trusted key signed an SBOM.
    """
    claimed = from_cyclonedx(canonical(image.statement(PREDICATE_TYPE).predicate))
    platform = f"linux/{image.config.architecture}"
    return Snapshot(platform, _versions(claimed), _layers(image.manifest), _judged_by_provenance(image, workshop))


def _of_lock(lock: LockFile, workshop: Workshop, spec_path: Path | None) -> Snapshot:
    architecture = lock.pins.target.architecture
    base = workshop.base(lock.pins.base_name, architecture)
    packages = _versions(inventory_of(base, lock))
    if spec_path is None:
        judged = Judged(None, why="there is no mlbuild.yaml beside it")
    elif base.digest != lock.pins.base_digest:
        judged = Judged(None, why=_OTHER_BASE)
    else:
        spec = read_spec(spec_path).model_copy(update={"base": base.name})
        project = Project(spec_path, spec, on=architecture)
        judged = _judged(known_by_lock_alone(project, workshop, lock), workshop)
    return Snapshot(f"linux/{architecture}", packages, None, judged)


def _judged_by_provenance(image: PublishedImage, workshop: Workshop) -> Judged:
    try:
        statement = image.statement(PROVENANCE)
        provenance, _ = read_provenance(statement, "")
        spec_file, raw = read_sources(statement)
    except InvalidInput as error:
        return Judged(None, why=error.message)
    with tempfile.TemporaryDirectory(prefix="mlbuild-diff-") as name:
        spec_path = Path(name) / spec_file.name
        spec_path.write_text(spec_file.content, encoding="utf-8")
        lock = parse_lock(raw, Path(name) / LOCK_NAME)
        project, part = on_its_platform(spec_path, lock, image)
        if workshop.base(project.spec.base, project.architecture).digest != provenance.base:
            return Judged(None, why=_OTHER_BASE)
        return _judged(known_by_lock_alone(project, workshop, part), workshop)


def _judged(evidence: Evidence, workshop: Workshop) -> Judged:
    decision = evaluate(workshop.policies, evidence, workshop.at)
    broken = decision.with_status(Status.DENIED, Status.UNDECIDED)
    return Judged(decision.verdict, tuple(one.rule for one in broken if one.effect is Effect.DENY))


def _spec_for(lock: Path, directory: Path) -> Path | None:
    specs = (place / SPEC_NAME for place in (lock.parent, directory))
    return next((spec for spec in specs if spec.is_file()), None)


def _versions(inventory: Inventory) -> Mapping[str, str]:
    return {package.purl.partition("@")[0]: package.version for package in inventory.packages}


def _layers(manifest: Manifest) -> Mapping[Digest, int]:
    return {layer.digest: layer.size for layer in manifest.layers}
