"""What is known today of an image that was admitted: from its stored evidence, never from its bytes.

What the bytes hold does not change. What does: which base it is recognised as, which signatures are trusted, and
what the databases know of its packages. Those are matched for many images at once, each package only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from compliance.bases import recognise
from compliance.errors import Unavailable
from compliance.evidence import Absent, Evidence, Vulnerability, VulnerabilityScan
from compliance.inventory import Inventory, OperatingSystem, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest
from compliance.sbom import to_cyclonedx
from gate.claims import compare, enrich, verify_claims
from gate.rulebook import Rules, Scanner


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


_Facts = tuple[OperatingSystem | None, str, str, str, str, str | None, str | None, str | None]
_Crowd = dict[str, tuple[_Facts, Package]]
"""Packages on one operating system, by purl."""


class Matcher:
    """What the databases know of packages, asked once of each, however many images have it. For one thread."""

    def __init__(self, scanner: Scanner | Unavailable) -> None:
        self._scanner = scanner
        self._known: dict[_Facts, tuple[Vulnerability, ...]] = {}

    def match(self, found: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """The evidence of several images with the vulnerabilities that their packages have by now."""
        inventories = [
            one.inventory for one in found if one.artifact is None and not isinstance(one.inventory, Absent)
        ]
        scan: VulnerabilityScan | Absent
        try:
            scan = self._learn(inventories)
        except Unavailable as error:
            notes = () if isinstance(self._scanner, Unavailable) else self._scanner.notes
            scan = Absent("; ".join((error.message, *notes)))
        return tuple(self._with(one, scan) for one in found)

    def _learn(self, inventories: Iterable[Inventory]) -> VulnerabilityScan:
        """Ask of every package that is new; the scan that is returned has no vulnerabilities."""
        if isinstance(self._scanner, Unavailable):
            raise self._scanner
        scanner = self._scanner
        crowds: list[_Crowd] = []
        for inventory in inventories:
            for package in inventory.packages:
                facts = _facts(inventory.os, package)
                if facts not in self._known:
                    _place(crowds, facts, package)
        for crowd in crowds:
            self._ask(scanner, crowd)
        if not scanner.databases:
            raise Unavailable("there is no vulnerability database, so nothing can be said about vulnerabilities")
        return VulnerabilityScan((), tuple(one.description for one in scanner.databases), scanner.notes)

    def _ask(self, scanner: Scanner, crowd: _Crowd) -> None:
        (os, *_), _ = next(iter(crowd.values()))
        packages = tuple(replace(one, depends_on=(), chain=()) for _, one in crowd.values())
        scan = scanner.trivy.match(to_cyclonedx(Inventory(os, packages), name="admitted"), scanner.databases)
        by_purl: dict[str, list[Vulnerability]] = {}
        for one in scan.vulnerabilities:
            by_purl.setdefault(one.purl, []).append(one)
        self._known.update((facts, tuple(by_purl.get(purl, ()))) for purl, (facts, _) in crowd.items())

    def _with(self, evidence: Evidence, scan: VulnerabilityScan | Absent) -> Evidence:
        inventory = evidence.inventory
        if evidence.artifact is not None or isinstance(inventory, Absent):
            return evidence
        if isinstance(scan, Absent):
            return replace(evidence, vulnerabilities=scan)
        found = {
            (one.purl, one.id): one
            for package in inventory.packages
            for one in self._known[_facts(inventory.os, package)]
        }
        return replace(
            evidence, vulnerabilities=replace(scan, vulnerabilities=tuple(found[key] for key in sorted(found)))
        )


def _facts(os: OperatingSystem | None, package: Package) -> _Facts:
    """All that matters to a database."""
    return (
        os,
        package.purl,
        package.name,
        package.version,
        package.ecosystem,
        package.source_name,
        package.source_version,
        package.architecture,
    )


def _place(crowds: list[_Crowd], facts: _Facts, package: Package) -> None:
    """Into the first crowd on the same operating system where nothing else is called the same."""
    for crowd in crowds:
        (os, *_), _ = next(iter(crowd.values()))
        if os == facts[0] and crowd.get(package.purl, (facts, package))[0] == facts:
            crowd[package.purl] = (facts, package)
            return
    crowds.append({package.purl: (facts, package)})
