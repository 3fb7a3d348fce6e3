"""Which of a wheel's modules are imported as soon as its packages are: read from the code, nothing is run.

Only statements that always run count: those in `try`, `if`, loops and functions do not, since code puts
there what it can do without.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Final

from builder.layers.archive import Archive
from builder.modules import import_names, module_of

_LARGEST: Final = 4 << 20  # bytes of source; what is larger was generated, and is no package's front door


def always_imported(archive: Archive) -> frozenset[str]:
    """The modules of the wheel that importing what it is there for (`import_names`) always imports too.

    An extension module at the top counts when source imports it: alone it may be an optional accelerator.
    """
    files = {name: path for path in archive.members if (name := module_of(path)) is not None}
    seen: set[str] = set()
    waiting = [name for name in import_names(archive.members) if files.get(name, "").endswith(".py")]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in files:
            continue
        seen.add(name)
        waiting.extend(_imports(archive, name, files))
    return frozenset(seen)


def _imports(archive: Archive, name: str, files: Mapping[str, str]) -> Iterator[str]:
    """What the module `name` always imports, parents included; names that are no modules are among them."""
    member = archive.members[files[name]]
    if not member.filename.endswith(".py") or member.file_size > _LARGEST:
        return
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(archive.read(member))
    except (SyntaxError, ValueError, RecursionError):
        return  # not for this Python; an import of it would say so itself
    package = name if member.filename.endswith("__init__.py") else name.rpartition(".")[0]
    for target in _targets(tree.body, package):
        parts = target.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _targets(body: list[ast.stmt], package: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, package)
            if source:
                yield source
                yield from (f"{source}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.ClassDef):
            yield from _targets(node.body, package)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The full name of the module that a `from … import` names; empty where it leads above the top."""
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    if node.level > len(parts):
        return ""
    start = parts[: len(parts) - node.level + 1]
    return ".".join([*start, *([node.module] if node.module else [])])
