"""Curated bases: locked from Debian's archives, built from their locks by extraction alone."""

from builder.bases.build import BuiltBase, build_base
from builder.bases.lock import lock_base

__all__ = ["BuiltBase", "build_base", "lock_base"]
