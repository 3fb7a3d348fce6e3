"""What images hold, by name: packages, known vulnerabilities, and what was excused; for questions across images.

The rows of an image are those of the newest decision about it, and are written in the transaction that records
the decision, whoever records it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Connection, Index, String, Text, delete, event, insert
from sqlalchemy.orm import Mapped, Mapper, mapped_column

from compliance.evidence import Severity
from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest
from gate.schema import StoredDecision, Table

_NAME: Final = 255
_PURL: Final = 512
"""Characters. What is longer is cut, for a database refuses to index it; nobody is kept from a verdict by that."""


class ImagePackage(Table):
    """A package in an image. `name` is the normalised name of its ecosystem."""

    __tablename__ = "image_packages"
    __table_args__ = (
        Index("image_packages_by_purl", "purl"),
        Index("image_packages_by_name", "name", "version"),
    )

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    purl: Mapped[str] = mapped_column(String(_PURL))
    name: Mapped[str] = mapped_column(String(_NAME))
    version: Mapped[str] = mapped_column(String(_NAME))
    ecosystem: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))


class ImageVulnerability(Table):
    """A known vulnerability in an image, once for each `name` it has. `id` is what reports call it."""

    __tablename__ = "image_vulnerabilities"
    __table_args__ = (Index("image_vulnerabilities_by_name", "name"),)

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(_NAME))
    purl: Mapped[str] = mapped_column(String(_PURL))
    id: Mapped[str] = mapped_column(String(_NAME))
    severity: Mapped[str] = mapped_column(String(16))
    fixed: Mapped[str] = mapped_column(Text)
    """The versions that mend it, lowest first, one a line."""


class ImageWaived(Table):
    """Something that a waiver or statement, named by its file, excuses in an image."""

    __tablename__ = "image_waived"
    __table_args__ = (Index("image_waived_by_waiver", "waiver"),)

    repository: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    waiver: Mapped[str] = mapped_column(String(_NAME))
    rule: Mapped[str] = mapped_column(String(_NAME))
    key: Mapped[str] = mapped_column(Text)
    culprit: Mapped[str] = mapped_column(Text)


class _Package(BaseModel):
    purl: str
    name: str
    version: str
    ecosystem: Ecosystem
    origin: Origin


class _Packages(BaseModel):
    packages: tuple[_Package, ...] = ()


class _Vulnerability(BaseModel):
    id: str
    purl: str
    severity: Severity
    fixed: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class _Vulnerabilities(BaseModel):
    vulnerabilities: tuple[_Vulnerability, ...] = ()


class _Evidence(BaseModel):
    """The members of stored evidence that are looked up here; what is absent has none of them."""

    inventory: _Packages = _Packages()
    vulnerabilities: _Vulnerabilities = _Vulnerabilities()


class _Violation(BaseModel):
    key: str
    culprit: str
    waiver: str | None = None


class _Outcome(BaseModel):
    rule: str
    violations: tuple[_Violation, ...] = ()


class _Decision(BaseModel):
    outcomes: tuple[_Outcome, ...] = ()


@event.listens_for(StoredDecision, "after_insert")
def _index(mapper: Mapper[Any], connection: Connection, decision: StoredDecision) -> None:  # noqa: ARG001
    """Replace the rows of the decision's image."""
    evidence = _Evidence.model_validate_json(decision.evidence)
    outcomes = _Decision.model_validate_json(decision.decision)
    image = {"repository": decision.repository, "digest": decision.digest}
    for table, rows in (
        (ImagePackage, _packages(evidence)),
        (ImageVulnerability, _vulnerabilities(evidence)),
        (ImageWaived, _waived(outcomes)),
    ):
        connection.execute(
            delete(table).where(table.repository == decision.repository, table.digest == decision.digest)
        )
        found = [{**image, "number": number, **row} for number, row in enumerate(rows)]
        if found:
            connection.execute(insert(table), found)


def _packages(evidence: _Evidence) -> Iterator[Mapping[str, str]]:
    for one in {each.purl: each for each in evidence.inventory.packages}.values():
        yield {
            "purl": _kept(one.purl, _PURL),
            "name": _kept(one.name),
            "version": _kept(one.version),
            "ecosystem": one.ecosystem.value,
            "origin": one.origin.value,
        }


def _vulnerabilities(evidence: _Evidence) -> Iterator[Mapping[str, str]]:
    for one in evidence.vulnerabilities.vulnerabilities:
        for name in dict.fromkeys((one.id, *one.aliases)):
            yield {
                "name": _kept(name),
                "purl": _kept(one.purl, _PURL),
                "id": _kept(one.id),
                "severity": one.severity.value,
                "fixed": "\n".join(map(_kept, one.fixed)),
            }


def _waived(decision: _Decision) -> Iterator[Mapping[str, str]]:
    for outcome in decision.outcomes:
        for violation in outcome.violations:
            if violation.waiver is not None:
                yield {
                    "waiver": _kept(violation.waiver),
                    "rule": _kept(outcome.rule),
                    "key": _kept(violation.key),
                    "culprit": _kept(violation.culprit, _PURL),
                }


def _kept(text: str, limit: int = _NAME) -> str:
    """The text as every database can keep it, where it comes from an image and may be anything."""
    return text[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}")
