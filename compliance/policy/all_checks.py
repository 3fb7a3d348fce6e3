"""All checks, found in the package `compliance.policy.checks`: one module each, with a `CHECK` in it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

import compliance.policy.checks
from compliance.policy.check import AnyCheck, Check


@functools.cache
def checks() -> Mapping[str, AnyCheck]:
    """Every check by name, sorted. Raises TypeError when a module in the package defines none."""
    found: dict[str, AnyCheck] = {}
    for module in pkgutil.iter_modules(compliance.policy.checks.__path__):
        check = getattr(
            importlib.import_module(f"{compliance.policy.checks.__name__}.{module.name}"), "CHECK", None
        )
        if not isinstance(check, Check) or check.name in found:
            raise TypeError(
                f"compliance/policy/checks/{module.name}.py must define one CHECK with a name of its own"
            )
        found[check.name] = check
    return MappingProxyType(dict(sorted(found.items())))
