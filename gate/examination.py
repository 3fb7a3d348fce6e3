"""The steps between a resolved push and a verdict: what is read, verified, compared and evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from compliance.attest.bundle import verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.statement import Statement
from compliance.errors import InvalidInput, Unavailable
from compliance.evidence import Absent, Evidence, Subject, VulnerabilityScan
from compliance.inventory import Inventory, ModelFile
from compliance.models import LayerMemory
from compliance.oci.diffids import WrongLayer
from compliance.oci.digest import Digest
from compliance.oci.layer_members import UnsafeMember
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor, Manifest, parse_config
from compliance.oci.registry import RegistryClient
from compliance.policy.decision import Decision, Violation
from compliance.policy.evaluate import evaluate
from compliance.sbom import to_cyclonedx
from gate.arrival import Push
from gate.blob_cache import BlobCache
from gate.claims import compare, enrich, verify_claims
from gate.errors import Code, Fault, malformed
from gate.own_rules import CONSISTENT, INTACT, READABLE, SAFE, SIGNED, Broken, OwnRule
from gate.reading import read_image
from gate.rulebook import Rules, Scanner

MAX_BUNDLE: Final = 32 << 20
"""The largest evidence taken, in bytes; the SBOM of a large image has a tenth of that."""


def resolve(push: Push, client: RegistryClient, stored: Mapping[Digest, Digest]) -> None:
    """Raise the answer for a manifest that names blobs that are not in its repository, or of another size.

    `stored` is what the registry calls the blobs that are.
    """
    for blob in push.blobs:
        stored_as = stored.get(blob.digest)
        size = None if stored_as is None else client.blob_size(push.repository, stored_as)
        if size is None:
            raise Fault(400, Code.MANIFEST_BLOB_UNKNOWN, f"the blob {blob.digest} was not pushed")
        if size != blob.size:
            message = f"the blob {blob.digest} has {size} bytes, and the manifest says {blob.size}"
            raise Broken(INTACT, Violation(blob.digest, blob.digest, message))


@dataclass(frozen=True, slots=True)
class Examination:
    """One image, and the rules it is held against.

    `layers` is what is known of layers that were read before, `limit` how many bytes all may unpack to.
    """

    push: Push
    manifest: Manifest
    rules: Rules
    bundles: Sequence[bytes]
    layers: LayerMemory
    limit: int

    def run(self, client: RegistryClient, blobs: BlobCache, at: datetime) -> tuple[Decision, Evidence]:
        """Steps 5 to 8.

        Raises Broken when the bytes are not what the manifest and config say.
        """
        push = self.push
        with (
            _or_broken(INTACT, push.digest),
            blobs.layout(client, push.repository, (push.descriptor, push.raw), push.blobs) as layout,
        ):
            evidence = self.rules.sightings.mark(self._read(layout), at)
        # 8. Evaluate
        return evaluate(self.rules.policies, evidence, at), evidence

    def _read(self, layout: Layout) -> Evidence:
        push, rules = self.push, self.rules
        # 5. Read
        with _or_broken(READABLE, push.digest):
            config = parse_config(layout.read_bytes(self.manifest.config.digest))
            reading = read_image(layout, push.digest, config, rules, self.layers, self.limit)
        # 6. Verify
        claims = verify_claims(self.bundles, rules.keys, {push.digest, self.manifest.config.digest})
        # 7. Compare
        inventory: Inventory | Absent = reading.inventory
        if isinstance(inventory, Inventory):
            sbom = compare(claims.sbom, inventory)
            inventory = enrich(inventory, claims.sbom)
        else:
            sbom = Absent(
                "the SBOM cannot be held against the image, which could not be read: " + inventory.reason
            )
        return Evidence(
            subject=Subject(push.repository, digest=push.digest),
            base=reading.base,
            inventory=inventory,
            settings=reading.settings,
            lock=claims.lock,
            vulnerabilities=_match(inventory, reading.models, push.repository, rules.scanner),
            secrets=reading.secrets,
            models=reading.models,
            sbom=sbom,
            provenance=claims.provenance,
            layers=reading.layers,
            privileged=reading.privileged,
            build=claims.build,
        )


def _match(
    inventory: Inventory | Absent,
    models: tuple[ModelFile, ...] | Absent,
    name: str,
    scanner: Scanner | Unavailable,
) -> VulnerabilityScan | Absent:
    if isinstance(inventory, Absent):
        return inventory
    if isinstance(scanner, Unavailable):
        return Absent(scanner.message)
    listed = () if isinstance(models, Absent) else models
    try:
        found = scanner.trivy.match(to_cyclonedx(inventory, name=name, models=listed), scanner.databases)
    except Unavailable as error:
        return Absent("; ".join((error.message, *scanner.notes)))
    return VulnerabilityScan(found.vulnerabilities, found.databases, (*found.notes, *scanner.notes))


def examine_bundle(
    push: Push, manifest: Manifest, keys: TrustedKeys, client: RegistryClient
) -> tuple[bytes, Statement]:
    """The bundle in an evidence artifact and its statement, verified to be about the artifact's subject.

    Raises Broken when it is not.
    """
    (layer,) = manifest.layers
    subject = _subject_of(manifest)
    if layer.size > MAX_BUNDLE:
        raise malformed(f"evidence may have {MAX_BUNDLE:,} bytes, this has {layer.size:,}")
    with _or_broken(INTACT, layer.digest), client.open_blob(push.repository, layer.digest) as chunks:
        raw = b"".join(chunks)
    with _or_broken(SIGNED, layer.digest):
        statement, _ = verify_bundle(raw, keys, {subject.digest})
    return raw, statement


def _subject_of(manifest: Manifest) -> Descriptor:
    if manifest.subject is None:
        raise malformed("evidence has a subject, and this has none")
    return manifest.subject


@contextmanager
def _or_broken(rule: OwnRule, culprit: Digest) -> Iterator[None]:
    try:
        yield
    except WrongLayer as error:
        raise Broken(CONSISTENT, Violation(culprit, culprit, error.message, remedy=error.remedy)) from error
    except UnsafeMember as error:
        raise Broken(SAFE, Violation(culprit, culprit, error.message, remedy=error.remedy)) from error
    except InvalidInput as error:
        raise Broken(rule, Violation(culprit, culprit, error.message, remedy=error.remedy)) from error
