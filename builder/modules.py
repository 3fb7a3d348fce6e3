"""The names by which the code in a wheel is imported, told by its files (top_level.txt is no longer written)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.utils import canonicalize_name

from builder.distributions import distribution_of

_ASIDE: Final = frozenset(
    {"benchmark", "benchmarks", "bin", "doc", "docs", "example", "examples", "scripts", "test", "tests", "tools"}
)
"""Folders that come along by accident and are not there to be imported."""


def module_of(path: str) -> str | None:
    """The dotted name of the module in a file of a wheel, source or extension; None for any other file."""
    top, _, rest = path.partition("/")
    if top.endswith(".data"):
        scheme, _, path = rest.partition("/")
        if scheme not in {"purelib", "platlib"}:
            return None
    folder, _, name = path.rpartition("/")
    stem, _, suffix = name.partition(".")
    if suffix != "py" and suffix.rpartition(".")[2] != "so":
        return None
    parts = [*(folder.split("/") if folder else ()), *([] if stem == "__init__" else [stem])]
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def import_names(paths: Iterable[str]) -> tuple[str, ...]:
    """What there is to import in a wheel of these files, sorted: its packages and modules, without their parts.

    A folder without `__init__` is a namespace that others share, and what is in it counts: `google.cloud.storage`.
    Private names, and folders such as `tests`, are left out where there are others.
    """
    names = [(name, "/__init__." in path) for path in paths if (name := module_of(path)) is not None]
    packages = {name for name, package in names if package}
    found = set()
    for name, _ in names:
        parts = name.split(".")
        above = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        found.add(next((parent for parent in above if parent in packages), name))
    public = {name for name in found if not any(part.startswith("_") for part in name.split("."))}
    wanted = {name for name in public if name.partition(".")[0] not in _ASIDE} or public or found
    return tuple(sorted(wanted))


def principal_names(names: Iterable[str], project: str) -> tuple[str, ...]:
    """Those of the names that are the project's own name, in its import form; all when none is.

    Others serve extras whose dependencies need not be there, as `blackd` does in black.
    """
    names = tuple(names)
    wanted = canonicalize_name(project)
    own = tuple(name for name in names if canonicalize_name(distribution_of(name) or name) == wanted)
    return own or names
