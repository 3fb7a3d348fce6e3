"""In which layer of an image each thing stands that a rule has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from compliance.evidence import Absent, Evidence
from compliance.oci.digest import Digest
from compliance.policy.decision import Violation


class Attribution:
    """The layers that the evidence knows of: of packages by purl, of files by path."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def __call__(self, violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """The violations with their layers; those of a lock, and those of the image as a whole, have none."""
        return tuple(self._placed(one) for one in violations)

    def _placed(self, violation: Violation) -> Violation:
        layer = self._layers.get(violation.culprit) or self._layers.get(violation.key)
        return violation if layer is None else replace(violation, layer=layer)

    @cached_property
    def _layers(self) -> dict[str, Digest]:
        return {name: layer for name, layer in reversed(list(self._known())) if layer is not None}

    def _known(self) -> Iterator[tuple[str, Digest | None]]:
        evidence = self._evidence
        if not isinstance(evidence.inventory, Absent):
            yield from ((package.purl, package.layer) for package in evidence.inventory.packages)
        for files in (evidence.secrets, evidence.models, evidence.privileged):
            if not isinstance(files, Absent):
                yield from ((file.path, file.layer) for file in files)
