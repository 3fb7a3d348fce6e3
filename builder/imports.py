"""What scripts and notebooks import, and which distributions that means."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.distributions import distribution_of
from builder.layers.app import NEVER

MAX_BYTES: Final = 5_000_000

_PIP_LINE: Final = re.compile(r"\s*[%!]\s*(?:python\s+-m\s+)?(?:uv\s+)?pip3?\s+install\s+(?P<words>.+)")
_PLAIN_NAME: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?(?:[<>=!~]=?[0-9A-Za-z.*+!,<>=~]+)?"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A script or notebook that was read. `installs` are what `%pip install` lines in it name."""

    path: Path
    tree: ast.Module
    installs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imports:
    """`known` maps a distribution, `unknown` an import name, to the first file that needs it."""

    known: dict[str, str]
    unknown: dict[str, str]


def read_sources(directory: Path) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """The scripts and notebooks of a project that can be read, and notes on those that cannot."""
    sources, notes = [], []
    for path in _files(directory):
        name = path.relative_to(directory).as_posix()
        try:
            if path.stat().st_size > MAX_BYTES:
                notes.append(f"{name} is large, so its imports were not read")
                continue
            code, installs = _code(path)
            sources.append(Source(path.relative_to(directory), ast.parse(code), installs))
        except (SyntaxError, ValueError, OSError) as error:
            notes.append(f"{name} cannot be read as Python, so its imports were not seen: {error}")
    return tuple(sources), tuple(notes)


def find_imports(sources: Iterable[Source], directory: Path) -> Imports:
    """What the sources import besides the standard library and the project's own modules."""
    own = _own_modules(directory)
    known: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for source in sources:
        for install in source.installs:
            known.setdefault(install, source.path.as_posix())
        for module in _modules(source.tree):
            top = module.partition(".")[0]
            if top in own or top in sys.stdlib_module_names or top == "__future__":
                continue
            distribution = distribution_of(module)
            if distribution is None:
                unknown.setdefault(top, source.path.as_posix())
            else:
                known.setdefault(distribution, source.path.as_posix())
    return Imports(known, unknown)


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name in NEVER or path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").is_file():
                yield from _files(path)
        elif path.suffix in {".py", ".ipynb"}:
            yield path


def _code(path: Path) -> tuple[str, tuple[str, ...]]:
    """The Python text of a script or notebook, and what its `%pip install` lines name."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".py":
        return text, ()
    notebook = json.loads(text)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is not a notebook of format 4")
    lines: list[str] = []
    installs: list[str] = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        code = "".join(source) if isinstance(source, list) else str(source)
        if code.lstrip().startswith("%%"):
            continue  # another language, or a shell
        for line in code.splitlines():
            pip = _PIP_LINE.fullmatch(line)
            if pip is not None:
                installs.extend(word for word in pip["words"].split() if _PLAIN_NAME.fullmatch(word))
            lines.append(_without_magic(line))
    return "\n".join(lines) + "\n", tuple(installs)


def _without_magic(line: str) -> str:
    """IPython's own syntax is not Python: such a line becomes a statement that does nothing."""
    body = line.lstrip()
    if body.startswith(("%", "!", "?")) or body.rstrip().endswith("?"):
        return line[: len(line) - len(body)] + "pass"
    return line


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_modules(directory: Path) -> set[str]:
    """Modules of the project itself, wherever in it they stand: a folder may be put on the path."""
    return {path.stem for path in _files(directory)} | {path.parent.name for path in _files(directory)}
