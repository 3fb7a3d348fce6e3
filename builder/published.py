"""An image in a registry as mlbuild published it: manifest, config, and the evidence signed about it."""

from __future__ import annotations

from dataclasses import dataclass

from compliance.attest.bundle import BUNDLE_TYPE, verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.referrer import bundle_in
from compliance.attest.statement import Statement
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import ImageConfig, Manifest, parse_config
from compliance.oci.reference import Reference
from compliance.oci.registry import RawManifest, RegistryClient


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """An image by digest. `statements` are verified, each with the name of the key that signed it."""

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: ImageConfig
    statements: tuple[tuple[Statement, str], ...]

    def statement(self, predicate_type: str) -> Statement:
        """The statement of this kind. Raises InvalidInput when no trusted key signed one."""
        for statement, _ in self.statements:
            if statement.predicate_type == predicate_type:
                return statement
        raise InvalidInput(
            f"{self.reference} has no {predicate_type} statement signed by a trusted key",
            remedy="Put the public key of its builder among the trusted ones (MLBUILD_TRUSTED_KEYS).",
        )


def fetch_published(client: RegistryClient, reference: Reference, trusted: TrustedKeys) -> PublishedImage:
    """The image and what trusted keys say of it. What others signed is passed over.

    Raises InvalidInput when the reference names an index, RegistryError and Unavailable as the client does.
    """
    found = client.get_manifest(reference.repository, reference.target)
    manifest = found.parse()
    if not isinstance(manifest, Manifest):
        raise InvalidInput(f"{reference} is an index", remedy="Name one of its images by digest.")
    config = parse_config(_blob(client, reference.repository, manifest))
    return PublishedImage(
        reference.at(found.digest),
        found.digest,
        manifest,
        config,
        tuple(_statements(client, reference, found, manifest, trusted)),
    )


def fetch_published_each(
    client: RegistryClient, reference: Reference, trusted: TrustedKeys
) -> tuple[PublishedImage, ...]:
    """The image, or where the reference names an index each image of it. Raises as `fetch_published` does."""
    manifest = client.get_manifest(reference.repository, reference.target).parse()
    if isinstance(manifest, Manifest):
        return (fetch_published(client, reference, trusted),)
    return tuple(fetch_published(client, reference.at(child.digest), trusted) for child in manifest.manifests)


def _statements(
    client: RegistryClient, reference: Reference, found: RawManifest, manifest: Manifest, trusted: TrustedKeys
) -> list[tuple[Statement, str]]:
    statements = []
    for entry in client.referrers(reference.repository, found.digest, BUNDLE_TYPE):
        artifact = client.get_manifest(reference.repository, entry.digest).parse()
        if not isinstance(artifact, Manifest):
            continue
        with client.open_blob(reference.repository, bundle_in(artifact).digest) as chunks:
            bundle = b"".join(chunks)
        try:
            statements.append(verify_bundle(bundle, trusted, {found.digest, manifest.config.digest}))
        except InvalidInput:
            continue  # by somebody else, or about something else: not evidence here
    return statements


def _blob(client: RegistryClient, repository: str, manifest: Manifest) -> bytes:
    with client.open_blob(repository, manifest.config.digest) as chunks:
        return b"".join(chunks)
