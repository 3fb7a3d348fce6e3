"""What makes the registry behind the gate keep the blobs of a published manifest.

The gate answers for manifests itself, but a registry collects blobs that none of its own manifests names. So
every published manifest is put there too; and where that registry cannot take it, since it knows no sha512 or
wants layers that are never pushed, a stand-in that names the same blobs by the registry's digests.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST, Descriptor, Index, Manifest
from compliance.oci.registry import RegistryClient, RegistryError
from gate.arrival import Push
from gate.intents import Work

STAND_IN: Final = "application/vnd.mlbuild.stand-in"
STANDS_FOR: Final = "dev.mlbuild.stands-for"
_BYTES: Final = "application/octet-stream"
_NOT_TAKEN: Final = frozenset({400, 404, 405, 415, 422})

log = logging.getLogger(__name__)


def keep(push: Push, client: RegistryClient, stored: Mapping[Digest, Digest | None], work: Work) -> Digest | None:
    """Put the manifest, or a stand-in for it, and return its digest; None when it has no blobs to keep.

    `stored` is what the registry calls each blob, or child of an index, that it has; `work` is told of each
    manifest before it is put. Raises RegistryError when the registry takes neither, and Unavailable when it does
    not answer.
    """
    document = push.document
    named = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
    if push.digest.algorithm == "sha256" and named and all(stored.get(one.digest) == one.digest for one in named):
        work.begin(push.repository, push.digest, push.tag)
        target = push.tag or push.digest
        try:
            # The gate itself answers for referrers, so the registry needs no index of them.
            return client.put_manifest(push.repository, target, push.raw, document.media_type, refer=False)
        except RegistryError as error:
            if error.status not in _NOT_TAKEN:
                raise
            log.info("the registry does not take %s@%s: %s", push.repository, push.digest, error.reason)
    if isinstance(document, Index):
        return None
    raw = _stand_in(push, stored).to_json()
    digest = Digest.of(raw)
    work.begin(push.repository, digest)
    return client.put_manifest(push.repository, digest, raw, OCI_MANIFEST)


def _stand_in(push: Push, stored: Mapping[Digest, Digest | None]) -> Manifest:
    blobs = {stored.get(one.digest): one.size for one in push.blobs}
    config, *layers = (
        Descriptor(media_type=_BYTES, digest=digest, size=size) for digest, size in blobs.items() if digest
    )
    return Manifest(
        artifact_type=STAND_IN, config=config, layers=tuple(layers), annotations={STANDS_FOR: push.digest}
    )
