"""The errors of the builder package."""

from __future__ import annotations

from compliance.errors import ComplianceError


class BuilderError(ComplianceError):
    """Root of the builder's failures that are neither a bad input file nor an unavailable service."""
