"""Sends what was built of a project to a registry: images with their evidence, then their index."""

from __future__ import annotations

from dataclasses import replace

from builder.platform_image import BuiltProject
from builder.progress import Progress
from builder.push import Pushed, push_image
from builder.pushed import PushedBlobs
from compliance.oci.reference import Reference
from compliance.oci.registry import RegistryClient


def push_project(
    client: RegistryClient,
    target: Reference,
    built: BuiltProject,
    progress: Progress,
    *,
    workers: int,
    pushed: PushedBlobs | None = None,
) -> Pushed:
    """Push the images to `target`, whose tag goes to the whole. Raises as push_image does.

    The index goes last: a gate admits it by the images that it names.
    """
    single = target if built.index is None else replace(target, tag=None)
    sent = [
        push_image(
            client,
            single,
            one.layout,
            one.image.descriptor,
            one.evidence.bundles,
            progress,
            workers=workers,
            pushed=pushed,
        )
        for one in built.each
    ]
    if built.index is None or built.index_layout is None:
        return sent[0]
    raw = built.index_layout.read_bytes(built.index.digest)
    digest = client.put_manifest(target.repository, target.tag or built.index.digest, raw, built.index.media_type)
    return Pushed(
        target.at(digest),
        sum(one.blobs_sent for one in sent),
        sum(one.bytes_sent for one in sent),
        sum(one.blobs_present for one in sent),
        sum(one.evidence_bytes for one in sent) + len(raw),
    )
