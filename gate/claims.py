"""What came with an image, signed, and how it compares with the bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from compliance import sbom
from compliance.attest import provenance
from compliance.attest.bundle import verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.provenance import read_build, read_provenance
from compliance.attest.statement import Statement
from compliance.errors import InvalidInput
from compliance.evidence import Absent, Build, Lock, Provenance, Sbom
from compliance.inventory import Ecosystem, Inventory, Package
from compliance.oci.digest import Digest
from compliance.strict_json import canonical

_COMPARED = frozenset({Ecosystem.PYPI, Ecosystem.DEBIAN})
_Identity = tuple[Ecosystem, str, str]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClaimedSbom:
    """A verified SBOM: its digest, what it says is in the image, and the name of the key that signed it."""

    digest: Digest
    inventory: Inventory
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """The verified claims about one image. What is absent says why."""

    provenance: Provenance | Absent
    lock: Lock | Absent
    sbom: ClaimedSbom | Absent
    build: Build | Absent


def verify_claims(bundles: Sequence[bytes], keys: TrustedKeys, about: Collection[Digest]) -> Claims:
    """Read the claims in `bundles`, newest first, that a trusted key signed about one of `about`.

    The newest provenance and the newest SBOM that can be read count; keys that are no longer trusted do
    not, even if they were when the evidence was pushed.
    """
    statements: list[tuple[Statement, str]] = []
    problems: list[str] = []
    for bundle in bundles:
        try:
            statements.append(verify_bundle(bundle, keys, about))
        except InvalidInput as error:
            problems.append(error.message)
    made: tuple[Provenance, Lock | None] | None = None
    done: Build | Absent | None = None
    listed: ClaimedSbom | None = None
    for statement, key in statements:
        try:
            if statement.predicate_type == provenance.PREDICATE_TYPE and made is None:
                made, done = read_provenance(statement, key), read_build(statement)
            elif statement.predicate_type == sbom.PREDICATE_TYPE and listed is None:
                raw = canonical(statement.predicate)
                listed = ClaimedSbom(Digest.of(raw), sbom.from_cyclonedx(raw), key)
        except InvalidInput as error:
            problems.append(error.message)
    because = f" ({'; '.join(problems)})" if problems else ""
    missing = Absent(f"no signed provenance of this image can be relied on{because}")
    return Claims(
        provenance=missing if made is None else made[0],
        lock=_lock(made, missing),
        sbom=Absent(f"no signed SBOM of this image can be relied on{because}") if listed is None else listed,
        build=missing if done is None else done,
    )


def _lock(made: tuple[Provenance, Lock | None] | None, missing: Absent) -> Lock | Absent:
    if made is None:
        return missing
    return made[1] or Absent("the provenance names no lock")


def compare(claimed: ClaimedSbom | Absent, actual: Inventory) -> Sbom | Absent:
    """Hold the claimed SBOM against what the bytes hold: Python and Debian packages, by name and version."""
    if isinstance(claimed, Absent):
        return claimed
    said = {_identity(package): package.purl for package in claimed.inventory.packages}
    found = {_identity(package): package.purl for package in actual.packages}
    return Sbom(
        digest=claimed.digest,
        format="CycloneDX 1.6",
        components=len(claimed.inventory.packages),
        missing=_purls(found, said),
        extra=_purls(said, found),
        key=claimed.key,
    )


def _purls(these: dict[_Identity, str], those: dict[_Identity, str]) -> tuple[str, ...]:
    return tuple(
        sorted(purl for identity, purl in these.items() if identity[0] in _COMPARED and identity not in those)
    )


def enrich(actual: Inventory, claimed: ClaimedSbom | Absent) -> Inventory:
    """The packages that the bytes hold, with what only the builder knows: artifact, requirement, licence."""
    if isinstance(claimed, Absent):
        return actual
    said = {_identity(package): package for package in claimed.inventory.packages}
    packages = (_with_origin_story(package, said.get(_identity(package))) for package in actual.packages)
    return replace(actual, packages=tuple(packages))


def _with_origin_story(package: Package, said: Package | None) -> Package:
    if said is None:
        return package
    return replace(
        package,
        sha256=package.sha256 or said.sha256,
        url=package.url or said.url,
        chain=package.chain or said.chain,
        licence=said.licence or package.licence,
        depends_on=package.depends_on or said.depends_on,
    )


def _identity(package: Package) -> _Identity:
    return package.ecosystem, package.name, package.version
