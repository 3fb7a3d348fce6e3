"""Inventory to CycloneDX 1.6 JSON and back."""

from compliance.sbom.reader import from_cyclonedx
from compliance.sbom.writer import MEDIA_TYPE, PREDICATE_TYPE, to_cyclonedx

__all__ = ["MEDIA_TYPE", "PREDICATE_TYPE", "from_cyclonedx", "to_cyclonedx"]
