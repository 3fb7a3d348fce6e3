"""What is in a project's own files, and in what its steps left, that policies ask about: secrets and models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from builder.image import ImageLayer
from builder.models.reading import ReadModels
from compliance.evidence import Absent, Secret
from compliance.inventory import ModelFile, Origin
from compliance.models import find_models
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_MANIFEST, ImageConfig, Manifest, RootFs
from compliance.scan.trivy import Trivy


@dataclass(frozen=True, slots=True)
class AppReading:
    """Secrets and model files in the layers that are the project's own."""

    secrets: tuple[Secret, ...] = ()
    models: tuple[ModelFile, ...] | Absent = ()


def read_app(layers: tuple[ImageLayer, ...], declared: ReadModels, trivy: Trivy, scratch: Path) -> AppReading:
    """Read the project's layers, as an image of these alone written to `scratch`.

    The gate reads the very same layers, so both see the same. `declared` are the models in other layers.
    """
    if not layers:
        return AppReading(models=declared.with_those_of(()))
    image = _as_image(layers, scratch)
    reading = trivy.read_image(scratch, image, origin_of=lambda diff_id, path: Origin.APP)  # noqa: ARG005
    return AppReading(reading.secrets, declared.with_those_of(models_of_app(layers, scratch)))


@cache
def models_of_app(layers: tuple[ImageLayer, ...], scratch: Path) -> tuple[ModelFile, ...]:
    """The model files in the project's layers, by path."""
    if not layers:
        return ()
    image = _as_image(layers, scratch)
    return find_models(Layout(scratch), image, lambda diff_id, path: Origin.APP)  # noqa: ARG005


def _as_image(layers: tuple[ImageLayer, ...], directory: Path) -> Digest:
    """Write an image of these layers to `directory`, and name its manifest."""
    layout = Layout.create(directory)
    for layer in layers:
        layout.add_file(layer.path, layer.descriptor.digest)
    diff_ids = tuple(layer.diff_id for layer in layers)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=diff_ids))
    described = layout.write_bytes(config.to_json(), OCI_CONFIG)
    manifest = Manifest(config=described, layers=tuple(layer.descriptor for layer in layers))
    image = layout.write_bytes(manifest.to_json(), OCI_MANIFEST)
    layout.write_index((image,))
    return image.digest
