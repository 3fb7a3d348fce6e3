"""Which of two versions is the newer, in the way each ecosystem counts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from debian.debian_support import NativeVersion
from packaging.version import Version

from compliance.inventory import Ecosystem

_KEPT: Final = 1 << 16
"""The same versions are met in image after image, so that what was read of them is kept."""

_ORDERS: Final[dict[Ecosystem, Callable[[str], Any]]] = {
    Ecosystem.PYPI: functools.lru_cache(_KEPT)(Version),
    Ecosystem.DEBIAN: functools.lru_cache(_KEPT)(NativeVersion),
}


@functools.lru_cache(_KEPT)
def smallest_above(installed: str, fixed: tuple[str, ...], ecosystem: Ecosystem) -> str | None:
    """The smallest of `fixed` that is newer than `installed`, or None when none is.

    Where the ecosystem's order is not known, or a version does not follow it, the first one given.
    """
    order = _ORDERS.get(ecosystem)
    with suppress(ValueError):
        if order is not None:
            return min((one for one in fixed if order(one) > order(installed)), key=order, default=None)
    return next(iter(fixed), None)


def largest(versions: Iterable[str], ecosystem: Ecosystem) -> str | None:
    """The newest of `versions`, or None when there are none or they cannot be compared."""
    candidates = tuple(versions)
    order = _ORDERS.get(ecosystem)
    with suppress(ValueError):
        if order is not None:
            return max(candidates, key=order, default=None)
    return candidates[0] if len(set(candidates)) == 1 else None


def same(one: str, other: str, ecosystem: Ecosystem) -> bool:
    """Whether two texts write the same version: `1.0` and `1.0.0` do on PyPI."""
    order = _ORDERS.get(ecosystem)
    if one == other or order is None:
        return one == other
    try:
        return bool(order(one) == order(other))
    except ValueError:
        return False
