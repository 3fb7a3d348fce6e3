"""VEX files: OpenVEX (https://openvex.dev/ns, 0.2.0) and the vulnerabilities of a CycloneDX document."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote

from packageurl import PackageURL
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictStr, model_validator
from pydantic.alias_generators import to_camel

from compliance.errors import InvalidInput
from compliance.instants import in_utc
from compliance.policy.vex import Justification, VexProduct, VexStatement, VexStatus
from compliance.strict_json import parse_object, validated

OPENVEX: Final = "https://openvex.dev/ns"
MAX_BYTES: Final = 16 << 20


def parse_vex(raw: bytes, file: str) -> tuple[VexStatement, ...]:
    """The statements of a VEX file of either form. Raises InvalidInput when it is neither, or says too little.

    Products that are not named by a purl are left out: nothing here could be one of them.
    """
    data = parse_object(raw, file, max_bytes=MAX_BYTES)
    context = data.get("@context")
    if isinstance(context, str) and context.startswith(OPENVEX):
        return _of_openvex(validated(data, _OpenVex, f"OpenVEX document ({file})"), file)
    if data.get("bomFormat") == "CycloneDX":
        return _of_cyclonedx(validated(data, _CycloneDx, f"CycloneDX document ({file})"), file)
    raise InvalidInput(
        f"{file} is neither OpenVEX nor CycloneDX",
        remedy=f"An OpenVEX document has an @context that begins with {OPENVEX}.",
    )


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Identifiers(_Wire):
    purl: StrictStr | None = None


class _Component(_Wire):
    id: StrictStr | None = Field(default=None, alias="@id")
    identifiers: _Identifiers = _Identifiers()

    @property
    def purl(self) -> PackageURL | None:
        return _purl(self.identifiers.purl or self.id)


class _Product(_Component):
    subcomponents: tuple[_Component, ...] = ()


class _Vulnerability(_Wire):
    name: StrictStr = Field(min_length=1)
    aliases: tuple[StrictStr, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class _Statement(_Wire):
    vulnerability: _Vulnerability
    timestamp: AwareDatetime | None = None
    products: tuple[_Product, ...] = ()
    status: VexStatus
    justification: Justification | None = None
    impact_statement: StrictStr | None = None

    @model_validator(mode="after")
    def _is_justified(self) -> _Statement:
        if self.status is VexStatus.NOT_AFFECTED and not (self.justification or self.impact_statement):
            raise ValueError("not_affected needs a justification or an impact_statement")
        return self


class _OpenVex(_Wire):
    author: StrictStr = Field(min_length=1)
    timestamp: AwareDatetime
    statements: tuple[_Statement, ...]


def _of_openvex(document: _OpenVex, file: str) -> tuple[VexStatement, ...]:
    return tuple(
        VexStatement(
            file=file,
            author=document.author,
            made=in_utc(one.timestamp or document.timestamp),
            names=(one.vulnerability.name, *one.vulnerability.aliases),
            status=one.status,
            products=_products(one.products),
            justification=one.justification,
            reason=one.impact_statement or "",
        )
        for one in document.statements
    )


def _products(products: tuple[_Product, ...]) -> tuple[VexProduct, ...]:
    found = []
    for one in products:
        parts = tuple(part.purl for part in one.subcomponents)
        purl = one.purl
        if purl is not None and None not in parts:
            found.append(VexProduct(purl, tuple(part for part in parts if part is not None)))
    return tuple(found)


def _purl(text: str | None) -> PackageURL | None:
    try:
        return PackageURL.from_string(text or "")
    except ValueError:
        return None


class _State(StrEnum):
    RESOLVED = "resolved"
    RESOLVED_WITH_PEDIGREE = "resolved_with_pedigree"
    EXPLOITABLE = "exploitable"
    IN_TRIAGE = "in_triage"
    FALSE_POSITIVE = "false_positive"
    NOT_AFFECTED = "not_affected"


_STATUS: Final = {
    _State.RESOLVED: VexStatus.FIXED,
    _State.RESOLVED_WITH_PEDIGREE: VexStatus.FIXED,
    _State.EXPLOITABLE: VexStatus.AFFECTED,
    _State.IN_TRIAGE: VexStatus.UNDER_INVESTIGATION,
    _State.FALSE_POSITIVE: VexStatus.NOT_AFFECTED,
    _State.NOT_AFFECTED: VexStatus.NOT_AFFECTED,
}

_JUSTIFICATION: Final = {
    "code_not_present": Justification.VULNERABLE_CODE_NOT_PRESENT,
    "code_not_reachable": Justification.VULNERABLE_CODE_NOT_IN_EXECUTE_PATH,
    "requires_configuration": Justification.VULNERABLE_CODE_CANNOT_BE_CONTROLLED_BY_ADVERSARY,
    "requires_dependency": Justification.VULNERABLE_CODE_CANNOT_BE_CONTROLLED_BY_ADVERSARY,
    "requires_environment": Justification.VULNERABLE_CODE_CANNOT_BE_CONTROLLED_BY_ADVERSARY,
    "protected_by_compiler": Justification.INLINE_MITIGATIONS_ALREADY_EXIST,
    "protected_at_runtime": Justification.INLINE_MITIGATIONS_ALREADY_EXIST,
    "protected_at_perimeter": Justification.INLINE_MITIGATIONS_ALREADY_EXIST,
    "protected_by_mitigating_control": Justification.INLINE_MITIGATIONS_ALREADY_EXIST,
}


class _CamelWire(_Wire):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)


class _Named(_CamelWire):
    name: StrictStr | None = None


class _BomComponent(_CamelWire):
    bom_ref: StrictStr | None = Field(default=None, alias="bom-ref")
    purl: StrictStr | None = None


class _BomMetadata(_CamelWire):
    timestamp: AwareDatetime | None = None
    authors: tuple[_Named, ...] = ()
    manufacturer: _Named = _Named()
    supplier: _Named = _Named()
    component: _BomComponent = _BomComponent()

    @property
    def author(self) -> str | None:
        named = (*self.authors, self.manufacturer, self.supplier)
        return next((one.name for one in named if one.name), None)


class _Analysis(_CamelWire):
    state: _State
    justification: StrictStr | None = None
    detail: StrictStr = ""
    last_updated: AwareDatetime | None = None


class _Affects(_CamelWire):
    ref: StrictStr


class _BomVulnerability(_CamelWire):
    id: StrictStr = Field(min_length=1)
    analysis: _Analysis | None = None
    affects: tuple[_Affects, ...] = ()
    updated: AwareDatetime | None = None


class _CycloneDx(_CamelWire):
    metadata: _BomMetadata = _BomMetadata()
    components: tuple[_BomComponent, ...] = ()
    vulnerabilities: tuple[_BomVulnerability, ...]

    @property
    def purls(self) -> dict[str, str]:
        """The purl of each component, by what `affects` may call it."""
        those = (self.metadata.component, *self.components)
        return {one.bom_ref: one.purl for one in those if one.bom_ref and one.purl}


def _of_cyclonedx(document: _CycloneDx, file: str) -> tuple[VexStatement, ...]:
    author = document.metadata.author
    if author is None:
        raise InvalidInput(f"{file} does not say who made it", remedy="Name an author under metadata.")
    purls = document.purls
    described = _purl(document.metadata.component.purl)
    image = described if described is not None and described.type == "oci" else None
    statements = []
    for one in document.vulnerabilities:
        if one.analysis is None:
            continue
        refs = (_purl(purls.get(_local(affected.ref), affected.ref)) for affected in one.affects)
        statements.append(
            VexStatement(
                file=file,
                author=author,
                made=_made(one, one.analysis, document, file),
                names=(one.id,),
                status=_STATUS[one.analysis.state],
                products=tuple(_product(purl, image) for purl in refs if purl is not None),
                justification=_JUSTIFICATION.get(one.analysis.justification or ""),
                reason=one.analysis.detail,
            )
        )
    return tuple(statements)


def _product(purl: PackageURL, image: PackageURL | None) -> VexProduct:
    """What a document about one image says of a package in it, it says of no other image."""
    if image is None or purl == image:
        return VexProduct(purl)
    return VexProduct(image, (purl,))


def _local(ref: str) -> str:
    """The bom-ref within a BOM-Link, or the ref itself (CycloneDX, "BOM-Link")."""
    return unquote(ref.rpartition("#")[2]) if ref.startswith("urn:cdx:") else ref


def _made(one: _BomVulnerability, analysis: _Analysis, document: _CycloneDx, file: str) -> datetime:
    made = analysis.last_updated or one.updated or document.metadata.timestamp
    if made is None:
        raise InvalidInput(f"{file} does not say when {one.id} was analysed", remedy="Give metadata.timestamp.")
    return in_utc(made)
