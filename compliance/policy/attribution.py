"""In which layer of an image each thing stands that a rule has found."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from compliance.evidence import Absent, Evidence, Secret
from compliance.inventory import ModelFile, PrivilegedFile
from compliance.oci.digest import Digest
from compliance.policy.decision import Violation


class Attribution:
    """The layers that the evidence knows of: of packages by purl, of files by path."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def __call__(self, violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """The violations with their layers; those of a lock, and those of the image as a whole, have none."""
        return tuple([self._placed(one) for one in violations]) if violations and self._layers else violations

    def _placed(self, violation: Violation) -> Violation:
        layer = self._layers.get(violation.culprit) or self._layers.get(violation.key)
        return violation if layer is None else replace(violation, layer=layer)

    @cached_property
    def _layers(self) -> dict[str, Digest]:
        """Of what has one name twice, the first counts; and packages before files."""
        evidence = self._evidence
        known: dict[str, Digest] = {}
        files: list[tuple[PrivilegedFile | ModelFile | Secret, ...] | Absent]
        files = [evidence.privileged, evidence.models, evidence.secrets]
        for part in files:
            if not isinstance(part, Absent):
                known |= {one.path: one.layer for one in reversed(part) if one.layer is not None}
        if not isinstance(evidence.inventory, Absent):
            packages = evidence.inventory.packages
            known |= {one.purl: one.layer for one in reversed(packages) if one.layer is not None}
        return known
