"""How sizes are told to people."""

from __future__ import annotations


def megabytes(count: int) -> str:
    """A number of bytes in megabytes (10^6), or in the unit that fits where it is much less or more."""
    if count < 1_000:
        return f"{count} B"
    if count < 100_000:
        return f"{count / 1e3:,.1f} kB"
    if count < 10e9:
        return f"{count / 1e6:,.1f} MB" if count < 100e6 else f"{count / 1e6:,.0f} MB"
    return f"{count / 1e9:,.1f} GB"
