"""The project's own files as entries under /app.

Patterns are globs relative to the project: `*` and `?` stay within a name, `**` crosses directories, and
a pattern that names a directory means all that is in it. What no image needs (version control, virtual
environments, caches) is left out always, and so are the spec and the lock.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Final

from builder.layers.tar import Entry, symlink
from builder.layers.unchanged import open_unchanged
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest

APP: Final = "app"
"""Where the files go, relative to `/`."""

NEVER: Final = (
    *(".git", ".hg", ".svn", ".gitignore", ".gitattributes", ".DS_Store"),
    *(".venv", "venv", "node_modules", ".mlbuild", ".tox", ".nox", ".eggs"),
    *("__pycache__", "*.pyc", "*.pyo", ".ipynb_checkpoints"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
)
"""Names left out wherever they stand, beside any directory that holds a pyvenv.cfg."""

NEVER_ON_TOP: Final = ("mlbuild.yaml", "pylock.toml")


@dataclass(frozen=True, slots=True)
class AppInput:
    """A project directory and which of its files go into the image."""

    root: Path
    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppFile:
    """A file of the project, or a link when `target` is set. `path` is relative to the project."""

    path: str
    source: Path
    state: os.stat_result
    target: str = ""

    @property
    def mode(self) -> int:
        """0755 when its owner may execute it, else 0644: what git keeps of a mode."""
        return 0o755 if self.state.st_mode & stat.S_IXUSR else 0o644


def find_files(app: AppInput) -> tuple[AppFile, ...]:
    """The files that the patterns choose, sorted by path.

    Raises InvalidInput for a pattern that chooses nothing, a link that leads out of the project, and
    anything that is neither file, directory nor link.
    """
    include = [_parts(pattern) for pattern in app.include]
    exclude = [_parts(pattern) for pattern in app.exclude]
    chosen: list[AppFile] = []
    used: set[int] = set()
    for path, item in _walk(exclude, app.root):
        by = {index for index, pattern in enumerate(include) if _matches(pattern, path)}
        if by:
            chosen.append(_file(app.root, "/".join(path), item))
            used |= by
    for index, pattern in enumerate(app.include):
        if index not in used and pattern != "**":
            raise InvalidInput(
                f"the pattern {pattern!r} under app.include chooses no file",
                at=Location(app.root),
                remedy="Correct the pattern or remove it; patterns are relative to the project.",
            )
    return tuple(sorted(chosen, key=lambda file: file.path))


def app_inputs(files: Iterable[tuple[AppFile, Digest]]) -> tuple[str, ...]:
    """What the layer of these files depends on: path, mode and content of each, as text."""
    return tuple(f"{file.path}\0{file.target or f'{file.mode:o}'}\0{digest}" for file, digest in files)


def app_entries(files: Iterable[tuple[AppFile, Digest]]) -> list[Entry]:
    """The entries. Reading one raises BuilderError when the file is no longer what its digest says."""
    return [
        symlink(f"{APP}/{file.path}", file.target)
        if file.target
        else Entry(
            f"{APP}/{file.path}",
            mode=file.mode,
            size=file.state.st_size,
            content=partial(open_unchanged, file.source, digest),
        )
        for file, digest in files
    ]


Parts = tuple[str, ...]


def _parts(pattern: str) -> Parts:
    return tuple(part for part in pattern.split("/") if part not in {"", "."})


def _matches(pattern: Parts, path: Parts) -> bool:
    """Whether the pattern names this path or a directory above it."""
    if not pattern:
        return True
    head, rest = pattern[0], pattern[1:]
    if head == "**":
        return any(_matches(rest, path[start:]) for start in range(len(path))) if rest else bool(path)
    return bool(path) and fnmatchcase(path[0], head) and _matches(rest, path[1:])


def _walk(exclude: list[Parts], folder: Path, below: Parts = ()) -> Iterator[tuple[Parts, os.DirEntry[str]]]:
    """Every file and link in `folder` that is not left out. Links are not followed."""
    try:
        items = list(os.scandir(folder))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(folder)) from error
    if below and any(item.name == "pyvenv.cfg" for item in items):
        return
    for item in items:
        path = (*below, _as_utf8(item.name, folder))
        if _never(path) or any(_matches(pattern, path) for pattern in exclude):
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _walk(exclude, Path(item.path), path)
        else:
            yield path, item


def _as_utf8(name: str, folder: Path) -> str:
    """A name as the bytes on disk spell it, whatever encoding this machine's locale would read them in."""
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"holds the name {name!r}, which is not UTF-8", at=Location(folder), remedy="Rename it."
        ) from error


def _never(path: Parts) -> bool:
    return any(fnmatchcase(path[-1], name) for name in NEVER) or (len(path) == 1 and path[0] in NEVER_ON_TOP)


def _file(root: Path, path: str, item: os.DirEntry[str]) -> AppFile:
    source = Path(item.path)
    state = item.stat(follow_symlinks=False)
    if stat.S_ISLNK(state.st_mode):
        return AppFile(path, source, state, _target(root, source))
    if not stat.S_ISREG(state.st_mode):
        raise InvalidInput(
            "is neither file, directory nor link, so it cannot go into an image",
            at=Location(source),
            remedy="Remove it, or name it under app.exclude.",
        )
    return AppFile(path, source, state)


def _target(root: Path, link: Path) -> str:
    """What the link points at, relative to its own directory and within the project."""
    top, folder = os.path.realpath(root), os.path.realpath(link.parent)
    written = os.readlink(link)  # noqa: PTH115 - Path would normalise it
    real = os.path.realpath(link)
    if os.path.commonpath([top, real]) != top:
        raise InvalidInput(
            f"is a link to {written}, which is outside the project",
            at=Location(link),
            remedy="Copy what it points at into the project, or name the link under app.exclude.",
        )
    text = written if _stays_below(top, folder, written) else os.path.relpath(real, folder)
    return _as_utf8(text, link)


def _stays_below(top: str, folder: str, written: str) -> bool:
    """Whether a link's text leads from its folder to its end without ever rising above `top`."""
    if os.path.isabs(written):  # noqa: PTH117 - of the text as written
        return False
    depth = len(Path(folder).relative_to(top).parts)
    for part in written.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return False
    return True
