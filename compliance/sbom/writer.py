"""Inventory to CycloneDX 1.6 and back.

The document is a function of its arguments: equal inventories give equal bytes. A component's `bom-ref`
is its purl (with a counter where one purl is installed twice). What CycloneDX has no member for stands in
properties: `aquasecurity:trivy:*` are the ones by which Trivy finds advisories and layers, `mlbuild:*`
are ours; `compliance.sbom.properties` says what each means.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from cyclonedx.exception.model import InvalidUriException
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_expression, is_supported_id
from packageurl import PackageURL

from compliance.errors import InvalidInput
from compliance.inventory import Ecosystem, Inventory, ModelFile, OperatingSystem, Package
from compliance.sbom.properties import (
    ARCHITECTURE,
    CHAIN,
    FORMAT,
    LAYER,
    ORIGIN,
    PACKAGE_TYPE,
    SIZE,
    SOURCE_NAME,
    SOURCE_VERSION,
    UNSAFE,
)
from compliance.strict_json import canonical

MEDIA_TYPE: Final = "application/vnd.cyclonedx+json"
PREDICATE_TYPE: Final = "https://cyclonedx.org/bom"

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlbuild:sbom")
_PACKAGE_TYPES: Final = {Ecosystem.PYPI: "python-pkg", Ecosystem.DEBIAN: "debian"}


def to_cyclonedx(
    inventory: Inventory,
    *,
    name: str,
    models: Sequence[ModelFile] = (),
    created: datetime | None = None,
) -> bytes:
    """The CycloneDX 1.6 JSON document of an image called `name`, in canonical form.

    Dependencies on packages that the inventory does not hold are left out: CycloneDX can only name what
    the document lists. Raises InvalidInput for a purl or URL that is none.
    """
    packages = _with_references(inventory.packages)
    components = [_package(package, reference) for reference, package in packages]
    components += [_model(model) for model in sorted(models, key=lambda model: (model.path, model.sha256))]
    os = _operating_system(inventory.os) if inventory.os else None
    root = Component(name=name, type=ComponentType.CONTAINER, bom_ref=f"image:{name}")
    bom = Bom(
        components=[*components, *([os] if os else [])],
        metadata=BomMetaData(component=root),
        dependencies=_dependencies(root, os, packages, models),
    )
    # The library stamps the clock and a random number; both are replaced below.
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    if created is not None:
        document["metadata"]["timestamp"] = created.isoformat()
    identity = uuid.uuid5(_NAMESPACE, canonical(document).decode())
    return canonical({**document, "serialNumber": identity.urn})


def _with_references(packages: Iterable[Package]) -> list[tuple[str, Package]]:
    """Each package with a bom-ref of its own: its purl, and from the second on a counter."""
    seen: dict[str, int] = defaultdict(int)
    result = []
    for package in sorted(packages, key=_order):
        seen[package.purl] += 1
        count = seen[package.purl]
        result.append((package.purl if count == 1 else f"{package.purl}#{count}", package))
    return result


def _order(package: Package) -> tuple[str, str, str]:
    return package.purl, package.layer or "", repr(package)


def _package(package: Package, reference: str) -> Component:
    try:
        purl = PackageURL.from_string(package.purl)
    except ValueError as error:
        raise InvalidInput(f"package {package.name!r} has a purl that is none: {error}") from error
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=reference,
        name=package.name,
        version=package.version,
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)] if package.sha256 else [],
        licenses=[_licence(package.licence)] if package.licence else [],
        external_references=[_download(package.url)] if package.url else [],
        properties=_properties(
            {
                PACKAGE_TYPE: _PACKAGE_TYPES.get(package.ecosystem),
                LAYER: package.layer,
                SOURCE_NAME: package.source_name,
                SOURCE_VERSION: package.source_version,
                ORIGIN: package.origin,
                CHAIN: json.dumps(package.chain, ensure_ascii=False) if package.chain else None,
                ARCHITECTURE: package.architecture,
            }
        ),
    )


def _model(model: ModelFile) -> Component:
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_reference(model),
        name=model.path,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model.sha256)],
        properties=_properties(
            {
                LAYER: model.layer,
                ORIGIN: model.origin,
                FORMAT: model.format,
                UNSAFE: model.unsafe,
                SIZE: str(model.size),
            }
        ),
    )


def _reference(model: ModelFile) -> str:
    return f"file:{model.path}"


def _operating_system(os: OperatingSystem) -> Component:
    return Component(
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"os:{os.id}@{os.version}",
        name=os.id,
        version=os.version,
    )


def _properties(values: Mapping[str, str | None]) -> list[Property]:
    return [Property(name=name, value=str(value)) for name, value in values.items() if value is not None]


def _licence(text: str) -> DisjunctiveLicense | LicenseExpression:
    if is_supported_id(text):
        return DisjunctiveLicense(id=text)
    if is_expression(text):
        return LicenseExpression(text)
    return DisjunctiveLicense(name=text)


def _download(url: str) -> ExternalReference:
    try:
        return ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url))
    except InvalidUriException as error:
        raise InvalidInput(f"not a URL: {url!r}") from error


def _dependencies(
    root: Component,
    os: Component | None,
    packages: Sequence[tuple[str, Package]],
    models: Sequence[ModelFile],
) -> list[Dependency]:
    """The graph: the image needs its models, the operating system, and whatever nothing else needs."""
    first = {package.purl: reference for reference, package in reversed(packages)}
    edges = {
        reference: sorted({first[purl] for purl in package.depends_on if purl in first} - {reference})
        for reference, package in packages
    }
    tops = _tops(edges)
    under_os = {ref for ref, package in packages if os and package.ecosystem is Ecosystem.DEBIAN} & tops
    under_root = tops - under_os
    if os is not None:
        edges[str(os.bom_ref)] = sorted(under_os)
        under_root.add(str(os.bom_ref))
    edges[str(root.bom_ref)] = sorted(under_root | {_reference(model) for model in models})
    return [
        Dependency(BomRef(reference), (Dependency(BomRef(target)) for target in targets))
        for reference, targets in edges.items()
    ]


def _tops(edges: Mapping[str, Sequence[str]]) -> set[str]:
    """The fewest nodes from which every node is reached: what nothing needs, and one of each loose circle."""
    needed = {target for targets in edges.values() for target in targets}
    tops: set[str] = set()
    reached: set[str] = set()
    for top in sorted(edges, key=lambda node: (node in needed, node)):
        if top in reached:
            continue
        tops.add(top)
        waiting = [top]
        while waiting:
            node = waiting.pop()
            if node not in reached:
                reached.add(node)
                waiting.extend(edges[node])
    return tops
