"""Curated bases: locked from Debian's archives, built from their locks by extraction alone."""

from builder.bases.build import BuiltBase, build_base
from builder.bases.lock import lock_base
from builder.bases.outdated import Standing, Update, standings

__all__ = ["BuiltBase", "Standing", "Update", "build_base", "lock_base", "standings"]
