"""What is known today of an image that was admitted: from its stored evidence, never from its bytes.

What the bytes hold does not change. What does: which base it is recognised as, which signatures are trusted, and
what the databases know of its packages. Those are matched for many images at once, each package only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from compliance.bases import recognise
from compliance.errors import InvalidInput, Unavailable
from compliance.evidence import Absent, Evidence, VulnerabilityScan
from compliance.inventory import Inventory, OperatingSystem, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest
from compliance.sbom import to_cyclonedx
from gate.claims import compare, enrich, verify_claims
from gate.rulebook import Rules, Scanner
from gate.schema import StoredDecision

_EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Evidence)


def stored_evidence(decision: StoredDecision) -> Evidence:
    """The evidence that a decision was taken on. Raises InvalidInput when it is not what was stored."""
    if Digest.of(decision.evidence) != decision.evidence_digest:
        raise InvalidInput(f"the evidence of decision {decision.id} was changed since it was stored")
    try:
        return _EVIDENCE.validate_json(decision.evidence)
    except ValidationError as error:
        raise InvalidInput(f"the evidence of decision {decision.id} cannot be read: {error}") from error


def seen_again(
    evidence: Evidence, manifest: Manifest, digest: Digest, rules: Rules, bundles: Sequence[bytes]
) -> Evidence:
    """The evidence by the bases and keys of `rules` and all `bundles`; its vulnerabilities stay as they were."""
    if evidence.artifact is not None:
        return evidence
    claims = verify_claims(bundles, rules.keys, {digest, manifest.config.digest})
    inventory = evidence.inventory
    if isinstance(inventory, Inventory):
        evidence = replace(
            evidence, sbom=compare(claims.sbom, inventory), inventory=enrich(inventory, claims.sbom)
        )
    if not isinstance(evidence.layers, Absent):
        diff_ids = tuple(layer.diff_id for layer in evidence.layers)
        evidence = replace(evidence, base=recognise(diff_ids, rules.bases))
    return replace(evidence, lock=claims.lock, provenance=claims.provenance, build=claims.build)


def matched_again(found: Sequence[Evidence], scanner: Scanner | Unavailable) -> tuple[Evidence, ...]:
    """The evidence of several images with what the databases know of their packages now."""
    crowds: list[_Crowd] = []
    places = [_place(evidence, crowds) for evidence in found]
    scans = [_scan(crowd, scanner) for crowd in crowds]
    return tuple(
        evidence if place is None else replace(evidence, vulnerabilities=_share(evidence, scans[place]))
        for evidence, place in zip(found, places, strict=True)
    )


_Facts = tuple[str, str, str, str | None, str | None, str | None]


@dataclass(slots=True)
class _Crowd:
    """The packages of several images on one operating system, each once."""

    os: OperatingSystem | None
    packages: dict[str, Package] = field(default_factory=dict)

    def takes(self, inventory: Inventory) -> bool:
        """Whether what is called the same is the same to the databases."""
        return self.os == inventory.os and all(
            one.purl not in self.packages or _facts(self.packages[one.purl]) == _facts(one)
            for one in inventory.packages
        )

    def add(self, packages: Iterable[Package]) -> None:
        for one in packages:
            self.packages.setdefault(one.purl, one)


def _facts(package: Package) -> _Facts:
    return (
        package.name,
        package.version,
        package.ecosystem,
        package.source_name,
        package.source_version,
        package.architecture,
    )


def _place(evidence: Evidence, crowds: list[_Crowd]) -> int | None:
    """Where in `crowds` the packages of an image are; None for what has none."""
    inventory = evidence.inventory
    if evidence.artifact is not None or isinstance(inventory, Absent):
        return None
    for place, crowd in enumerate(crowds):
        if crowd.takes(inventory):
            crowd.add(inventory.packages)
            return place
    crowds.append(_Crowd(inventory.os))
    crowds[-1].add(inventory.packages)
    return len(crowds) - 1


def _scan(crowd: _Crowd, scanner: Scanner | Unavailable) -> VulnerabilityScan | Absent:
    if isinstance(scanner, Unavailable):
        return Absent(scanner.message)
    packages = tuple(replace(one, depends_on=(), chain=()) for one in crowd.packages.values())
    try:
        found = scanner.trivy.match(
            to_cyclonedx(Inventory(crowd.os, packages), name="admitted"), scanner.databases
        )
    except Unavailable as error:
        return Absent("; ".join((error.message, *scanner.notes)))
    return replace(found, notes=(*found.notes, *scanner.notes))


def _share(evidence: Evidence, scan: VulnerabilityScan | Absent) -> VulnerabilityScan | Absent:
    """What of a scan is about the packages of one image."""
    inventory = evidence.inventory
    if isinstance(scan, Absent) or isinstance(inventory, Absent):
        return scan
    purls = {package.purl for package in inventory.packages}
    return replace(scan, vulnerabilities=tuple(one for one in scan.vulnerabilities if one.purl in purls))
