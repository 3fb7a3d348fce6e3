"""How sizes are told to people."""

from __future__ import annotations


def megabytes(count: int) -> str:
    """A number of bytes in megabytes (10^6), in kilobytes when it is small."""
    if count < 100_000:
        return f"{count / 1e3:,.1f} kB"
    return f"{count / 1e6:,.1f} MB" if count < 100e6 else f"{count / 1e6:,.0f} MB"
