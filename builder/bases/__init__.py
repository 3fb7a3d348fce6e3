"""Curated bases: locked from Debian's archives, built from their locks by extraction alone."""
