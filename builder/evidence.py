"""What the builder knows of an image, written down for policies: from the lock, the base and the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.app_reading import AppReading
from builder.bases.build import config_of
from builder.image import BuiltImage
from builder.image_config import ImageSettings, runtime_config
from builder.image_facts import image_layers, privileged_files
from builder.inside.facts import build_facts
from builder.layers.tar import LAYOUT_VERSION
from builder.lock_facts import as_evidence, inventory_packages
from builder.lockfile import LockFile
from builder.materials import lock_materials
from builder.sbom import sbom_of
from builder.settings import Settings
from builder.spec import Spec
from builder.state import State
from builder.system.inventory import system_packages
from builder.workshop import Workshop
from compliance.attest.bundle import sign_statement, verify_bundle
from compliance.attest.keys import TrustedKeys, generate_key, import_key, load_signer
from compliance.attest.provenance import SpecFile, read_build, read_provenance, slsa_statement
from compliance.attest.statement import Statement, sbom_statement, subjects_for
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput, Unavailable
from compliance.evidence import Absent, Build, Evidence, Provenance, Sbom, Subject, VulnerabilityScan
from compliance.inventory import Inventory, ModelFile
from compliance.inventory import Settings as RuntimeSettings
from compliance.oci.digest import Digest

_AFTER_BUILD = Absent("known once the image is built", pending=True)


@dataclass(frozen=True, slots=True)
class SignedEvidence:
    """An image's SBOM (CycloneDX JSON), and the sigstore bundles about it: SBOM and provenance."""

    sbom: bytes
    sbom_bundle: bytes
    provenance_bundle: bytes

    @property
    def bundles(self) -> tuple[bytes, ...]:
        return self.sbom_bundle, self.provenance_bundle


def make_signing_key(private: Path, trusted: Path) -> Path:
    """Make a key pair, and put its public half among the keys trusted here; returns where."""
    public = trusted / f"{private.stem}.pem"
    generate_key(private, public)
    return public


def take_signing_key(pem: bytes, private: Path, trusted: Path) -> Path:
    """The same with a private key that was made before."""
    public = trusted / f"{private.stem}.pem"
    import_key(pem, private, public)
    return public


def sign_evidence(
    spec_path: Path,
    spec: Spec,
    base: BaseDefinition,
    lock: LockFile,
    image: BuiltImage,
    models: Sequence[ModelFile],
    state: State,
    settings: Settings,
) -> SignedEvidence:
    """The image's signed evidence. What was signed before, by the same key and saying the same, is kept.

    Makes a signing key where there is none yet.
    """
    if not settings.key.exists():
        make_signing_key(settings.key, settings.trusted_keys)
    inventory = inventory_of(base, lock, image)
    sbom = sbom_of(inventory, spec.image, models, state)
    subjects = subjects_for(spec.image, image.digest, image.config_digest)
    provenance = slsa_statement(
        subjects,
        builder=settings.builder_id,
        spec=SpecFile(spec_path.name, spec_path.read_text(encoding="utf-8")),
        layout_version=LAYOUT_VERSION,
        base_name=base.name,
        base=base.digest,
        lock=as_evidence(lock),
        lock_content=lock.path.read_bytes(),
        materials=lock_materials(lock, base),
        build=build_facts(spec, lock, image),
    )
    return SignedEvidence(
        sbom,
        _signed("sbom.sigstore.json", sbom_statement(subjects, sbom), state, settings),
        _signed("provenance.sigstore.json", provenance, state, settings),
    )


def _signed(name: str, statement: Statement, state: State, settings: Settings) -> bytes:
    signer = load_signer(settings.key)
    before = state.read(name)
    if before is not None:
        try:
            said, _ = verify_bundle(before, TrustedKeys.of("own", signer))
        except InvalidInput:
            said = None  # by another key, or cut short: signed anew
        if said == statement:
            return before
    bundle = sign_statement(statement, signer)
    state.write(name, bundle)
    return bundle


def lock_evidence(
    spec: Spec, base: BaseDefinition, lock: LockFile, settings: ImageSettings, app: AppReading, workshop: Workshop
) -> Evidence:
    """What is known before a wheel is downloaded. The rest is pending."""
    from compliance.sbom import to_cyclonedx  # imported where one is written: the library takes long

    below = config_of(base.settings, base.platform, base.base.diff_ids, base.created)
    inventory = inventory_of(base, lock)
    return Evidence(
        subject=Subject(spec.image, spec.stage),
        base=base.base,
        inventory=inventory,
        settings=RuntimeSettings.of(runtime_config(below.config, settings)),
        lock=as_evidence(lock),
        vulnerabilities=_scan(to_cyclonedx(inventory, name=spec.image), workshop),
        secrets=app.secrets,
        models=app.models,
        sbom=_AFTER_BUILD,
        provenance=_AFTER_BUILD,
        layers=_AFTER_BUILD,
        privileged=_AFTER_BUILD,
        build=build_facts(spec, lock),
    )


def image_evidence(
    spec: Spec,
    base: BaseDefinition,
    lock: LockFile,
    image: BuiltImage,
    signed: SignedEvidence,
    app: AppReading,
    workshop: Workshop,
) -> Evidence:
    """What is known of the built image."""
    provenance, build = _provenance(signed, image, workshop)
    inventory = inventory_of(base, lock, image)
    return Evidence(
        subject=Subject(spec.image, spec.stage, image.digest),
        base=base.base,
        inventory=inventory,
        settings=RuntimeSettings.of(image.config.config),
        lock=as_evidence(lock),
        vulnerabilities=_scan(signed.sbom, workshop),
        secrets=app.secrets,
        models=app.models,
        sbom=Sbom(
            Digest.of(signed.sbom),
            "CycloneDX 1.6",
            len(inventory.packages),
            key=_signer(signed.sbom_bundle, image, workshop),
        ),
        provenance=provenance,
        layers=image_layers(image, base),
        privileged=privileged_files(image, base, workshop.cache),
        build=build,
    )


def inventory_of(base: BaseDefinition, lock: LockFile, image: BuiltImage | None = None) -> Inventory:
    """All packages; each knows its layer once there is an image."""
    packages = [*base.packages, *inventory_packages(lock, image.layer_of if image is not None else None)]
    if lock.system is not None:
        layer = image.system_layer if image is not None else None
        packages += system_packages(lock.system, lock.pins.system, base, layer)
    return Inventory(base.os, tuple(sorted(packages, key=lambda package: package.purl)))


def _scan(sbom: bytes, workshop: Workshop) -> VulnerabilityScan | Absent:
    try:
        databases, notes = workshop.databases
        scan = workshop.trivy.match(sbom, databases)
    except Unavailable as error:
        return Absent(f"{error.message}. {error.remedy or ''}".strip())
    return VulnerabilityScan(scan.vulnerabilities, scan.databases, (*scan.notes, *notes))


def _provenance(
    signed: SignedEvidence, image: BuiltImage, workshop: Workshop
) -> tuple[Provenance | Absent, Build | Absent]:
    try:
        statement, key = _verified(signed.provenance_bundle, image, workshop)
        provenance, _ = read_provenance(statement, key)
        return provenance, read_build(statement)
    except InvalidInput as error:
        missing = Absent(f"{error.message}. {error.remedy or ''}".strip())
        return missing, missing


def _signer(bundle: bytes, image: BuiltImage, workshop: Workshop) -> str | None:
    """The name of the trusted key that signed a bundle about this image, if one did."""
    try:
        return _verified(bundle, image, workshop)[1]
    except InvalidInput:
        return None


def _verified(bundle: bytes, image: BuiltImage, workshop: Workshop) -> tuple[Statement, str]:
    return verify_bundle(bundle, workshop.trusted_keys, {image.digest, image.config_digest})
