"""What is in a project's own files that a policy may ask about: secrets and models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.image import ImageLayer
from compliance.evidence import Secret
from compliance.inventory import ModelFile, Origin
from compliance.models import find_models
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_MANIFEST, ImageConfig, Manifest, RootFs
from compliance.scan.trivy import Trivy


@dataclass(frozen=True, slots=True)
class AppReading:
    """Secrets and model files in the layer of the project's own files."""

    secrets: tuple[Secret, ...] = ()
    models: tuple[ModelFile, ...] = ()


def read_app(layer: ImageLayer | None, trivy: Trivy, scratch: Path) -> AppReading:
    """Read the project's layer, as an image of that one layer written to `scratch`.

    The gate reads the very same layer, so both see the same.
    """
    if layer is None:
        return AppReading()
    layout = Layout.create(scratch)
    layout.add_file(layer.path, layer.descriptor.digest)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=(layer.diff_id,)))
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=(layer.descriptor,))
    image = layout.write_bytes(manifest.to_json(), OCI_MANIFEST)
    layout.write_index((image,))
    reading = trivy.read_image(layout.root, image.digest, origin_of=lambda diff_id, path: Origin.APP)  # noqa: ARG005
    models = find_models(layout, image.digest, lambda diff_id, path: Origin.APP)  # noqa: ARG005
    return AppReading(reading.secrets, models)
