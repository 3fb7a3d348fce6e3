"""What a program changed in a container, as layer entries (image specification v1.1, "Image Layer Filesystem
Changeset"): new and changed files, and whiteouts for those that are gone.

A file counts as changed when its kind, mode, owner, size or link is another one, or its time of modification
or of change is. The latter no program can set, so none can hide what it wrote.
"""

from __future__ import annotations

import json
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Final, NamedTuple

from builder.errors import BuilderError
from builder.inside.sandbox import Sandbox
from builder.inside.slices import slice_of
from builder.layers.tar import Entry, Kind, directory, of_bytes

_WHITEOUT: Final = ".wh."

_NOT_KEPT: Final = ("dev", "proc", "sys", "run", "tmp", "var/tmp")
"""Directories that are empty, or the runtime's, in every image: what is left in them is not kept."""

_BUILDAHS: Final = frozenset({"etc/hosts", "etc/hostname", "etc/resolv.conf"})
"""Files that buildah puts into its containers."""


class State(NamedTuple):
    """A file as `read_tree` tells it. Times are in nanoseconds."""

    mode: int
    uid: int
    gid: int
    size: int
    modified: int
    changed: int
    target: str

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def same(self, other: State) -> bool:
        """Whether nothing was done to the file in between. A directory is its mode and owner."""
        return self[:3] == other[:3] if self.is_directory else self == other


Tree = Mapping[str, State]


def read_tree(sandbox: Sandbox) -> Tree:
    """Every file in the container by its path, relative to `/`, without those that are never kept."""
    tree: dict[str, State] = {}
    with NamedTemporaryFile(prefix="mlbuild-tree-") as listing:
        sandbox.read("list", (), listing.file)
        listing.seek(0)
        for line in listing:
            path, *rest = json.loads(line)
            if path not in _BUILDAHS and not any(f"{path}/".startswith(f"{top}/") for top in _NOT_KEPT):
                tree[path] = State(*rest)
    return tree


@contextmanager
def changes(sandbox: Sandbox, before: Tree) -> Iterator[list[Entry]]:
    """The entries that turn the tree of `before` into the present one, readable while the context lasts.

    Bytecode whose source was changed or removed is removed with it: it would be run in its place, since
    nobody compares the two (PEP 552, unchecked). Raises BuilderError for what no layer can hold.
    """
    after = read_tree(sandbox)
    written = {path for path, state in after.items() if path not in before or not state.same(before[path])}
    gone = before.keys() - after.keys()
    gone |= _bytecode_of(written | gone, before) - written
    kept = sorted(written)
    files = [path for path in kept if stat.S_ISREG(after[path].mode)]
    with NamedTemporaryFile(prefix="mlbuild-changes-") as content:
        if files:
            sandbox.read("content", files, content.file)
            content.flush()
        starts = dict(zip(files, _starts(files, after), strict=True))
        entries = [_entry(path, after[path], Path(content.name), starts.get(path, 0)) for path in kept]
        entries += _whiteouts(gone, after)
        yield [*entries, *_folders(entries, after)]


def _starts(files: Sequence[str], after: Tree) -> list[int]:
    return [0, *accumulate(after[path].size for path in files)][: len(files)]


def _entry(path: str, state: State, content: Path, start: int) -> Entry:
    if posixpath.basename(path).startswith(_WHITEOUT):
        raise BuilderError(f"it leaves /{path}, a name that means a removed file in a layer")
    mode = stat.S_IMODE(state.mode)
    if state.is_directory:
        return directory(path, mode, uid=state.uid, gid=state.gid)
    if stat.S_ISLNK(state.mode):
        return Entry(path, Kind.SYMLINK, 0o777, target=state.target, uid=state.uid, gid=state.gid)
    if not stat.S_ISREG(state.mode):
        raise BuilderError(f"it leaves /{path}, which is neither file, directory nor link")
    opened = slice_of(content, start, state.size)
    return Entry(path, mode=mode, size=state.size, content=opened, uid=state.uid, gid=state.gid)


def _whiteouts(gone: Iterable[str], after: Tree) -> Iterator[Entry]:
    """A whiteout for each removed file, unless the directory around it is gone too or has become a file."""
    for path in gone:
        folder, name = posixpath.split(path)
        if not folder or (folder in after and after[folder].is_directory):
            yield of_bytes(posixpath.join(folder, _WHITEOUT + name), b"")


def _folders(entries: Sequence[Entry], after: Tree) -> Iterator[Entry]:
    """The directories above the entries, as they are: a layer that names none gives them to root."""
    named = {entry.path for entry in entries}
    above = {str(parent) for path in named for parent in PurePosixPath(path).parents}
    for path in above - named - {"."}:
        state = after[path]
        yield directory(path, stat.S_IMODE(state.mode), uid=state.uid, gid=state.gid)


def _bytecode_of(paths: Set[str], tree: Tree) -> set[str]:
    """The cached bytecode of the sources among `paths`, as `tree` has it."""
    found = set()
    for cached in tree:
        folder, name = posixpath.split(cached)
        if name.endswith(".pyc") and posixpath.basename(folder) == "__pycache__":
            source = posixpath.join(posixpath.dirname(folder), name.partition(".")[0] + ".py")
            if source in paths:
                found.add(cached)
    return found
