"""The component properties that carry what CycloneDX has no member for.

Trivy finds Debian advisories, and the layer of a finding, by the `aquasecurity:trivy:*` properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TRIVY: Final = "aquasecurity:trivy:"
LAYER: Final = _TRIVY + "LayerDiffID"
PACKAGE_TYPE: Final = _TRIVY + "PkgType"
SOURCE_NAME: Final = _TRIVY + "SrcName"
SOURCE_VERSION: Final = _TRIVY + "SrcVersion"
ORIGIN: Final = "mlbuild:origin"
CHAIN: Final = "mlbuild:chain"
ARCHITECTURE: Final = "mlbuild:architecture"
FORMAT: Final = "mlbuild:format"
UNSAFE: Final = "mlbuild:unsafe"
SIZE: Final = "mlbuild:size"

PROPERTIES: Final[Mapping[str, str]] = {
    LAYER: "diffID of the layer that holds the component",
    PACKAGE_TYPE: "the package manager, in Trivy's words",
    SOURCE_NAME: "Debian source package",
    SOURCE_VERSION: "version of the Debian source package",
    ORIGIN: "who brought it: base, dependency or app",
    CHAIN: "JSON list that leads from the requirement the user wrote to this package",
    ARCHITECTURE: "architecture the package was built for",
    FORMAT: "format of a model file",
    UNSAFE: "why loading a model file may run code",
    SIZE: "size of a model file in bytes",
}
