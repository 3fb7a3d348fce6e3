"""How many examples a property is tried with where the usual hundred is not the right number."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

QUICK: Final = "quick"
"""The profile of `make test-fast`."""


def examples(count: int) -> int:
    """So many; in the quick profile no more than it allows."""
    if settings.get_current_profile_name() == QUICK:
        return min(count, settings.get_profile(QUICK).max_examples)
    return count
