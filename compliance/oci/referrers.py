"""How a registry keeps what refers to a manifest (distribution specification v1.1, "Listing Referrers")."""

from __future__ import annotations

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor, Index, Manifest, parse_manifest


def fallback_tag(subject: Digest) -> str:
    """The tag that holds the referrers of `subject` where a registry has no API for them."""
    return f"{subject.algorithm}-{subject.hex}"[:128]


def as_referrer_entry(raw: bytes, document: Manifest | Index, digest: Digest | None = None) -> Descriptor:
    """How the manifest `raw` stands in the list of its subject's referrers, by its sha256 if no other `digest`."""
    artifact_type = document.artifact_type
    if artifact_type is None and isinstance(document, Manifest):
        artifact_type = document.config.media_type
    return Descriptor(
        media_type=document.media_type,
        digest=digest or Digest.of(raw),
        size=len(raw),
        artifact_type=artifact_type,
        annotations=document.annotations,
    )


def parse_referrers(raw: bytes) -> Index:
    """A list of referrers, as the API answers it or as the fallback tag holds it. Raises InvalidInput."""
    document = parse_manifest(raw)
    if not isinstance(document, Index):
        raise InvalidInput("the list of referrers is not an index")
    return document
