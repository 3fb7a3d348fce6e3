"""Content of every kind that a registry of the distribution specification v1.1 takes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from compliance.oci.digest import Digest

OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
FOREIGN: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
EXAMPLE: Final = "application/vnd.example.oci.test.v1"
OTHER: Final = "application/vnd.example.oci.test.v2"

Json = dict[str, Any]


@dataclass
class ContentSet:
    """Blobs, manifests in the order they are pushed in, tags, and what should be found to refer to a subject."""

    algorithm: str = "sha256"
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    referrers: dict[Digest, list[Json]] = field(default_factory=dict)

    def blob(self, data: bytes, media_type: str) -> Json:
        digest = Digest.of(data, self.algorithm)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def layer(self, *, compressed: bool = True) -> Json:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo("file.txt")
            member.size = 16
            archive.addfile(member, io.BytesIO(os.urandom(16)))
        tar = buffer.getvalue()
        return self.blob(gzip.compress(tar), LAYER + "+gzip") if compressed else self.blob(tar, LAYER)

    def config(self, layers: int, **extra: object) -> Json:
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(b"", self.algorithm)] * layers},
            "author": os.urandom(8).hex(),
            **extra,
        }
        return self.blob(json.dumps(document).encode(), OCI_CONFIG)

    def document(self, media_type: str, content: Mapping[str, object], tag: str | None = None) -> Json:
        """Add a manifest or index and return its descriptor."""
        raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
        digest = Digest.of(raw, self.algorithm)
        self.manifests[digest] = raw
        if tag is not None:
            self.tags[tag] = digest
        return {"mediaType": media_type, "digest": digest, "size": len(raw)}

    def image(self, tag: str | None = None, *, layers: int = 2, compressed: bool = True, **extra: object) -> Json:
        made = [self.layer(compressed=compressed) for _ in range(layers)]
        return self.document(OCI_MANIFEST, {"config": self.config(layers), "layers": made, **extra}, tag)

    def artifact(self, tag: str | None = None, *, kind: str = EXAMPLE, **extra: object) -> Json:
        content: Json = {
            "artifactType": kind,
            "config": self.blob(b"{}", OCI_EMPTY),
            "layers": [self.blob(os.urandom(64), kind)],
            **extra,
        }
        return self.document(OCI_MANIFEST, content, tag)

    def index(self, children: Iterable[Json], tag: str | None = None, **extra: object) -> Json:
        return self.document(OCI_INDEX, {"manifests": list(children), **extra}, tag)

    def refers(self, descriptor: Json, subject: Json, kind: str | None, annotations: Json | None = None) -> None:
        entry = dict(descriptor)
        if kind is not None:
            entry["artifactType"] = kind
        if annotations is not None:
            entry["annotations"] = annotations
        self.referrers.setdefault(Digest(subject["digest"]), []).append(entry)


def of_platform(descriptor: Json, architecture: str) -> Json:
    return {**descriptor, "platform": {"os": "linux", "architecture": architecture}}


def _both_platforms(content: ContentSet) -> list[Json]:
    return [of_platform(content.image(), architecture) for architecture in ("amd64", "arm64")]


def image() -> ContentSet:
    content = ContentSet()
    content.image("image")
    return content


def image_uncompressed() -> ContentSet:
    content = ContentSet()
    content.image("image-uncompressed", compressed=False)
    return content


def large_manifest() -> ContentSet:
    """As large as the specification asks every registry to take."""
    content = ContentSet()
    content.image("large", annotations={f"large-{number}": "A" * 10_000 for number in range(390)})
    return content


def index() -> ContentSet:
    content = ContentSet()
    content.index(_both_platforms(content), "index")
    return content


def nested_index() -> ContentSet:
    content = ContentSet()
    content.index([content.index(_both_platforms(content)) for _ in range(2)], "index-of-indexes")
    return content


def empty_index() -> ContentSet:
    content = ContentSet()
    content.index([], "empty-index")
    return content


def artifact() -> ContentSet:
    content = ContentSet()
    content.artifact("artifact")
    return content


def artifact_without_layers() -> ContentSet:
    content = ContentSet()
    empty = content.blob(b"{}", OCI_EMPTY)
    content.document(OCI_MANIFEST, {"artifactType": EXAMPLE, "config": empty, "layers": [empty]}, "no-content")
    return content


def artifact_index() -> ContentSet:
    content = ContentSet()
    content.index([content.artifact(), content.artifact()], "artifact-index", artifactType=EXAMPLE)
    return content


def referrers() -> ContentSet:
    content = ContentSet()
    subject = content.image("subject")
    note = {"org.example.note": os.urandom(8).hex()}
    content.refers(content.image(subject=subject), subject, OCI_CONFIG)
    for number, kind in enumerate((EXAMPLE, OTHER)):
        made = content.artifact(f"referrer-{number}", kind=kind, subject=subject, annotations=note)
        content.refers(made, subject, kind, note)
    return content


def index_with_subject() -> ContentSet:
    content = ContentSet()
    subject = content.index(_both_platforms(content), "index-subject")
    note = {"org.example.note": os.urandom(8).hex()}
    made = content.index(
        [content.artifact()], "index-referrer", artifactType=EXAMPLE, subject=subject, annotations=note
    )
    content.refers(made, subject, EXAMPLE, note)
    return content


def missing_subject() -> ContentSet:
    content = ContentSet()
    absent = {"mediaType": OCI_MANIFEST, "digest": Digest.of(os.urandom(8)), "size": 123}
    content.refers(content.artifact("of-nothing", subject=absent), absent, EXAMPLE)
    return content


def embedded_data() -> ContentSet:
    content = ContentSet()
    config = content.config(1)
    data = base64.b64encode(content.blobs[config["digest"]]).decode()
    content.document(OCI_MANIFEST, {"config": {**config, "data": data}, "layers": [content.layer()]}, "data-field")
    return content


def non_distributable_layers() -> ContentSet:
    """Two layers that are never pushed, and one that is."""
    content = ContentSet()
    foreign = [
        {
            "mediaType": media_type,
            "digest": Digest.of(os.urandom(8)),
            "size": 123_456,
            "urls": ["https://layers.example.com/layer"],
        }
        for media_type in (FOREIGN, FOREIGN + "+gzip")
    ]
    layers = [*foreign, content.layer()]
    content.document(OCI_MANIFEST, {"config": content.config(3), "layers": layers}, "non-distributable")
    return content


def unknown_members() -> ContentSet:
    content = ContentSet()
    config = content.config(1, **{"org.example.extra": "value"})
    child = content.document(
        OCI_MANIFEST, {"config": config, "layers": [content.layer()], "org.example.extra": {"a": [1]}}
    )
    content.index([of_platform(child, "amd64")], "unknown-members", **{"org.example.extra": None})
    return content


def no_layers() -> ContentSet:
    content = ContentSet()
    content.image("no-layers", layers=0)
    return content


def sha512() -> ContentSet:
    """By digest only: a tag is resolved to whatever digest the registry prefers."""
    content = ContentSet(algorithm="sha512")
    content.index(_both_platforms(content))
    return content


SETS: Final[Mapping[str, Callable[[], ContentSet]]] = {
    made.__name__: made
    for made in (
        image,
        image_uncompressed,
        large_manifest,
        index,
        nested_index,
        empty_index,
        artifact,
        artifact_without_layers,
        artifact_index,
        referrers,
        index_with_subject,
        missing_subject,
        embedded_data,
        non_distributable_layers,
        unknown_members,
        no_layers,
        sha512,
    )
}
