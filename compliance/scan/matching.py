"""What several databases say of one inventory, brought together: one finding a vulnerability and package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from debian.debian_support import NativeVersion
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field

from compliance.evidence import Severity, Vulnerability
from compliance.scan.report import Report, ReportedVulnerability, published_at

_ORDER: Final = (Severity.UNKNOWN, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
_UNKNOWN_PAGE: Final = "https://osv.dev/vulnerability/"


class _Component(BaseModel):
    model_config = ConfigDict(extra="ignore")

    bom_ref: str | None = Field(default=None, alias="bom-ref")
    purl: str | None = None


class _Components(BaseModel):
    model_config = ConfigDict(extra="ignore")

    components: tuple[_Component, ...] = ()


def purls_by_reference(sbom: bytes) -> dict[str, str]:
    """The purl of each component of a CycloneDX document by its `bom-ref`, since a scanner may write purls anew.

    Raises pydantic.ValidationError when it is no such document.
    """
    found = _Components.model_validate_json(sbom)
    return {item.bom_ref: item.purl for item in found.components if item.bom_ref and item.purl}


def vulnerabilities(report: Report, database: str, purls: Mapping[str, str]) -> tuple[Vulnerability, ...]:
    """The vulnerabilities that one database knows of."""
    found = (item for result in report.results for item in result.vulnerabilities)
    return tuple(_vulnerability(item, database, purls) for item in found)


def _vulnerability(item: ReportedVulnerability, database: str, purls: Mapping[str, str]) -> Vulnerability:
    names = list(dict.fromkeys([item.id, *item.vendor_ids]))
    identifier = next((name for name in names if name.startswith("CVE-")), item.id)
    purl = purls.get(item.identifier.bom_ref or "", item.identifier.purl or "")
    return Vulnerability(
        id=identifier,
        purl=purl,
        package=item.package,
        installed=item.installed,
        fixed=fixes(item.fixed, item.installed, debian=purl.startswith("pkg:deb/")),
        severity=item.severity,
        title=item.title or item.description.partition("\n")[0][:200] or identifier,
        database=database,
        aliases=tuple(sorted(name for name in names if name != identifier)),
        published=published_at(item),
        cvss=item.cvss,
        url=item.url or next(iter(item.references), _UNKNOWN_PAGE + identifier),
    )


def merge(found: Iterable[Sequence[Vulnerability]]) -> tuple[Vulnerability, ...]:
    """One finding for each vulnerability of each package, sorted by purl and id.

    Two findings are of one vulnerability when they share an id or alias. The first database given has the
    word on it; the highest severity counts, and what the first leaves open the next may fill in.
    """
    merged: dict[str, list[Vulnerability]] = {}
    for item in (item for items in found for item in items):
        known = merged.setdefault(item.purl, [])
        same = [other for other in known if _names(other) & _names(item)]
        for other in same:
            known.remove(other)
        first, *rest = [*same, item]
        for other in rest:
            first = _joined(first, other)
        known.append(first)
    return tuple(
        sorted((item for items in merged.values() for item in items), key=lambda item: (item.purl, item.id))
    )


def _names(item: Vulnerability) -> set[str]:
    return {item.id, *item.aliases}


def _joined(first: Vulnerability, second: Vulnerability) -> Vulnerability:
    names = _names(first) | _names(second)
    identifier = first.id if first.id.startswith("CVE-") or not second.id.startswith("CVE-") else second.id
    return replace(
        first,
        id=identifier,
        aliases=tuple(sorted(names - {identifier})),
        severity=max(first.severity, second.severity, key=_ORDER.index),
        fixed=first.fixed or second.fixed,
        published=first.published or second.published,
        cvss=max((score for score in (first.cvss, second.cvss) if score is not None), default=None),
    )


def fixes(text: str, installed: str, *, debian: bool) -> tuple[str, ...]:
    """The versions in Trivy's comma-separated `text` that mend `installed`, lowest first.

    A fix on an older branch than the installed version's is left out: going back is no remedy.
    """
    order: Callable[[str], tuple[bool, Version | NativeVersion, str]] = _debian_order if debian else _python_order
    versions = sorted({part.strip() for part in text.split(",") if part.strip()}, key=order)
    return tuple(version for version in versions if order(installed) < order(version)) or tuple(versions)


def _python_order(text: str) -> tuple[bool, Version, str]:
    """A sort key by PEP 440; what is no such version stands before all others."""
    try:
        return True, Version(text), text
    except InvalidVersion:
        return False, Version("0"), text


def _debian_order(text: str) -> tuple[bool, NativeVersion, str]:
    """As _python_order, by Debian policy 5.6.12."""
    try:
        return True, NativeVersion(text), text
    except ValueError:
        return False, NativeVersion("0"), text
