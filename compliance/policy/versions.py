"""Which of two versions is the newer, in the way each ecosystem counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from debian.debian_support import NativeVersion
from packaging.version import Version

from compliance.inventory import Ecosystem


def _order(ecosystem: Ecosystem) -> Callable[[str], Any] | None:
    return {Ecosystem.PYPI: Version, Ecosystem.DEBIAN: NativeVersion}.get(ecosystem)


def smallest_above(installed: str, fixed: Iterable[str], ecosystem: Ecosystem) -> str | None:
    """The smallest of `fixed` that is newer than `installed`, or None when none is.

    Where the ecosystem's order is not known, or a version does not follow it, the first one given.
    """
    candidates = tuple(fixed)
    order = _order(ecosystem)
    with suppress(ValueError):
        if order is not None:
            return min((one for one in candidates if order(one) > order(installed)), key=order, default=None)
    return next(iter(candidates), None)


def largest(versions: Iterable[str], ecosystem: Ecosystem) -> str | None:
    """The newest of `versions`, or None when there are none or they cannot be compared."""
    candidates = tuple(versions)
    order = _order(ecosystem)
    with suppress(ValueError):
        if order is not None:
            return max(candidates, key=order, default=None)
    return candidates[0] if len(set(candidates)) == 1 else None


def same(one: str, other: str, ecosystem: Ecosystem) -> bool:
    """Whether two texts write the same version: `1.0` and `1.0.0` do on PyPI."""
    order = _order(ecosystem)
    if one == other or order is None:
        return one == other
    try:
        return bool(order(one) == order(other))
    except ValueError:
        return False
