"""What a source distribution says of itself, read without running anything of it (PEP 517, PEP 518, PEP 625)."""

from __future__ import annotations

import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from builder.errors import BuilderError

LEGACY: Final = ("setuptools>=40.8.0",)
"""What a project without a [build-system] table is built with (PEP 517)."""

_COMPILED: Final = frozenset({".c", ".cc", ".cpp", ".cu", ".cxx", ".f", ".f90", ".go", ".pyx", ".rs"})
_MAX_PROJECT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """`requires` are the build requirements its pyproject.toml states; `compiled` is a file for a compiler."""

    requires: tuple[str, ...]
    compiled: str | None


def read_source(path: Path, name: str) -> Source:
    """Read a .tar.gz. Raises BuilderError when it is not a source distribution; `name` tells which it is."""
    requires: tuple[str, ...] = LEGACY
    compiled = None
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if compiled is None and member.isreg() and PurePosixPath(member.name).suffix in _COMPILED:
                    compiled = "/".join(parts[1:])
                if member.isreg() and parts[1:] == ("pyproject.toml",) and member.size <= _MAX_PROJECT:
                    stream = archive.extractfile(member)
                    assert stream is not None  # noqa: S101 - it is a regular file
                    requires = _requires(tomllib.loads(stream.read().decode("utf-8")))
    except (tarfile.TarError, OSError, EOFError, UnicodeError, ValueError, InvalidRequirement) as error:
        raise BuilderError(
            f"the source of {name} cannot be read: {error}",
            remedy="Use another version of it, or publish a wheel of it on an index.",
        ) from error
    return Source(requires, compiled)


def _requires(project: dict[str, object]) -> tuple[str, ...]:
    system = project.get("build-system", {"requires": list(LEGACY)})
    requires = system.get("requires") if isinstance(system, dict) else None
    if not isinstance(requires, list) or not all(isinstance(item, str) for item in requires):
        raise ValueError("its pyproject.toml has a [build-system] without a list of `requires`")
    return tuple(sorted(str(Requirement(item)) for item in requires))
