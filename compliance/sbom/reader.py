"""What a CycloneDX 1.6 JSON document claims, read strictly: it comes from strangers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from packageurl import PackageURL
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from compliance.errors import InvalidInput
from compliance.inventory import Ecosystem, Inventory, OperatingSystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.sbom.properties import (
    ARCHITECTURE,
    CHAIN,
    LAYER,
    ORIGIN,
    PROPERTIES,
    SOURCE_NAME,
    SOURCE_VERSION,
)
from compliance.strict_json import parse_object, parse_value, validated

MAX_COMPONENTS: Final = 100_000

_ECOSYSTEMS: Final = {"pypi": Ecosystem.PYPI, "deb": Ecosystem.DEBIAN}


class _Part(BaseModel):
    """A part of a foreign document: unknown members are allowed by the specification, and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Hash(_Part):
    alg: StrictStr
    content: StrictStr


class _LicenceText(_Part):
    id: StrictStr | None = None
    name: StrictStr | None = None


class _Licence(_Part):
    expression: StrictStr | None = None
    license: _LicenceText | None = None

    @property
    def text(self) -> str | None:
        if self.expression or self.license is None:
            return self.expression
        return self.license.id or self.license.name


class _Reference(_Part):
    type: StrictStr
    url: StrictStr


class _Property(_Part):
    name: StrictStr
    value: StrictStr = ""


class _Component(_Part):
    type: StrictStr
    name: StrictStr
    version: StrictStr | None = None
    bom_ref: StrictStr | None = Field(default=None, alias="bom-ref")
    purl: StrictStr | None = None
    hashes: tuple[_Hash, ...] = ()
    licenses: tuple[_Licence, ...] = ()
    external_references: tuple[_Reference, ...] = Field(default=(), alias="externalReferences")
    properties: tuple[_Property, ...] = ()
    components: tuple[Any, ...] = Field(default=(), max_length=0)


class _Edges(_Part):
    ref: StrictStr
    depends_on: tuple[StrictStr, ...] = Field(default=(), alias="dependsOn")


class _Document(_Part):
    bom_format: Literal["CycloneDX"] = Field(alias="bomFormat")
    spec_version: Literal["1.6"] = Field(alias="specVersion")
    components: tuple[_Component, ...] = Field(default=(), max_length=MAX_COMPONENTS)
    dependencies: tuple[_Edges, ...] = Field(default=(), max_length=MAX_COMPONENTS)


def from_cyclonedx(raw: bytes) -> Inventory:
    """The inventory that a CycloneDX 1.6 JSON document claims.

    Libraries need a purl and a version. A library without `mlbuild:origin` counts as the project's own.
    Components of other types, and members that an inventory has no place for, are passed over.
    Raises InvalidInput for anything that is not such a document, or that two readers might read apart.
    """
    document = validated(parse_object(raw, "the SBOM"), _Document, "CycloneDX 1.6 document")
    os: OperatingSystem | None = None
    purls: dict[str, str] = {}
    libraries: list[_Component] = []
    for component in document.components:
        if component.type == "operating-system":
            if os is not None:
                raise InvalidInput("the SBOM names two operating systems")
            os = OperatingSystem(component.name, _required(component.version, component, "version"))
        elif component.type == "library":
            reference = _required(component.bom_ref, component, "bom-ref")
            if reference in purls:
                raise InvalidInput(f"the SBOM uses the bom-ref {reference!r} twice")
            purls[reference] = _required(component.purl, component, "purl")
            libraries.append(component)
    edges = _edges(document)
    packages = [_read_package(component, edges, purls) for component in libraries]
    return Inventory(os, tuple(sorted(packages, key=lambda package: (package.purl, package.layer or ""))))


def _edges(document: _Document) -> Mapping[str, tuple[str, ...]]:
    edges = {edge.ref: edge.depends_on for edge in document.dependencies}
    if len(edges) != len(document.dependencies):
        raise InvalidInput("the SBOM gives the dependencies of one component twice")
    return edges


def _read_package(
    component: _Component, edges: Mapping[str, tuple[str, ...]], purls: Mapping[str, str]
) -> Package:
    purl = component.purl or ""
    try:
        kind = PackageURL.from_string(purl).type
    except ValueError as error:
        raise InvalidInput(f"the SBOM's component {component.name!r} has a purl that is none: {error}") from error
    properties = {each.name: each.value for each in component.properties}
    known = [each.name for each in component.properties if each.name in PROPERTIES]
    if len(known) != len(set(known)):
        raise InvalidInput(f"the SBOM's component {component.name!r} has a property twice")
    layer = properties.get(LAYER)
    targets = edges.get(component.bom_ref or "", ())
    return Package(
        purl=purl,
        name=component.name,
        version=_required(component.version, component, "version"),
        ecosystem=_ECOSYSTEMS.get(kind, Ecosystem.OTHER),
        origin=_origin(properties.get(ORIGIN, Origin.APP), component),
        layer=Digest(layer) if layer is not None else None,
        licence=_read_licence(component),
        sha256=_sha256(component),
        url=next((each.url for each in component.external_references if each.type == "distribution"), None),
        source_name=properties.get(SOURCE_NAME),
        source_version=properties.get(SOURCE_VERSION),
        architecture=properties.get(ARCHITECTURE),
        chain=_chain(properties.get(CHAIN), component),
        depends_on=tuple(sorted({purls[target] for target in targets if target in purls})),
    )


def _required(value: str | None, component: _Component, member: str) -> str:
    if not value:
        raise InvalidInput(f"the SBOM's component {component.name!r} has no {member}")
    return value


def _origin(text: str, component: _Component) -> Origin:
    try:
        return Origin(text)
    except ValueError as error:
        raise InvalidInput(f"the SBOM's component {component.name!r} has the unknown origin {text!r}") from error


def _sha256(component: _Component) -> str | None:
    hashes = [each.content for each in component.hashes if each.alg == "SHA-256"]
    if not hashes:
        return None
    if len(set(hashes)) > 1:
        raise InvalidInput(f"the SBOM's component {component.name!r} has two sha256 hashes")
    return Digest(f"sha256:{hashes[0]}").hex


def _read_licence(component: _Component) -> str | None:
    return " AND ".join(licence.text for licence in component.licenses if licence.text) or None


def _chain(text: str | None, component: _Component) -> tuple[str, ...]:
    if text is None:
        return ()
    names = parse_value(text.encode(), f"the SBOM's property {CHAIN}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"the SBOM's component {component.name!r} has a {CHAIN} that is not a list of names")
    return tuple(names)
