"""What is in a project's own files that a policy may ask about: secrets and models."""

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
    """Secrets and model files in the layer of the project's own files."""

    secrets: tuple[Secret, ...] = ()
    models: tuple[ModelFile, ...] | Absent = ()


def read_app(layer: ImageLayer | None, declared: ReadModels, trivy: Trivy, scratch: Path) -> AppReading:
    """Read the project's layer, as an image of that one layer written to `scratch`.

    The gate reads the very same layer, so both see the same. `declared` are the models in other layers.
    """
    if layer is None:
        return AppReading(models=declared.with_those_of(()))
    image = _as_image(layer, scratch)
    reading = trivy.read_image(scratch, image, origin_of=lambda diff_id, path: Origin.APP)  # noqa: ARG005
    return AppReading(reading.secrets, declared.with_those_of(models_of_app(layer, scratch)))


@cache
def models_of_app(layer: ImageLayer | None, scratch: Path) -> tuple[ModelFile, ...]:
    """The model files in the project's layer, by path."""
    if layer is None:
        return ()
    image = _as_image(layer, scratch)
    return find_models(Layout(scratch), image, lambda diff_id, path: Origin.APP)  # noqa: ARG005


def _as_image(layer: ImageLayer, directory: Path) -> Digest:
    """Write an image of this one layer to `directory`, and name its manifest."""
    layout = Layout.create(directory)
    layout.add_file(layer.path, layer.descriptor.digest)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=(layer.diff_id,)))
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=(layer.descriptor,))
    image = layout.write_bytes(manifest.to_json(), OCI_MANIFEST)
    layout.write_index((image,))
    return image.digest
