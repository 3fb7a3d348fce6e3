"""What lies in the layers under a new one: which paths are there, whose they are, and which Debian packages."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.errors import BuilderError
from builder.layers.deb import STATUS
from builder.layers.tar import Entry, Kind, directory
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members

_KINDS: Final = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}


@dataclass(frozen=True, slots=True)
class Below:
    """The tree that some layers make. `entries` have no content; `controls` are control texts of packages."""

    entries: Mapping[str, Entry]
    controls: Mapping[str, str]

    def admit(self, tree: Mapping[str, Entry], whose: str) -> list[Entry]:
        """The entries of `tree` as they can lie on top, with nothing repeated that is there already.

        Directories keep the mode and owner they have below. Raises BuilderError when an entry would take
        the place of another file, or lie in a directory that is none; `whose` names the tree in messages.
        """
        found: list[Entry] = []
        for path, entry in tree.items():
            self._check_parents(path, whose)
            present = self.entries.get(path)
            if present is None:
                found.append(entry)
            elif not _same(present, entry):
                raise BuilderError(f"{whose} would replace /{path}, which is in the base")
        return [*found, *self._parents(found)]

    def _check_parents(self, path: str, whose: str) -> None:
        for parent in _parents_of(path):
            present = self.entries.get(parent)
            if present is not None and present.kind is not Kind.DIRECTORY:
                raise BuilderError(f"{whose} would put /{path} into /{parent}, which is no directory in the base")

    def _parents(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The directories above `entries` that are not as a layer makes them when it says nothing."""
        for path in sorted({parent for entry in entries for parent in _parents_of(entry.path)}):
            present = self.entries.get(path)
            if present is not None and (present.mode, present.uid, present.gid) != (0o755, 0, 0):
                yield directory(path, present.mode, uid=present.uid, gid=present.gid)


def read_below(layers: Iterable[Path]) -> Below:
    """Read layer blobs, from the bottom up. Raises InvalidInput when one is not a sound layer."""
    entries: dict[str, Entry] = {}
    controls: dict[str, str] = {}
    for blob in layers:
        with open_layer(blob) as stream:
            for path, member, content in members(stream):
                name = path.lstrip("/")
                kind = _KINDS.get(member.type, Kind.FILE)
                entries[name] = Entry(
                    name, kind, member.mode, target=member.linkname, uid=member.uid, gid=member.gid
                )
                folder, _, package = name.rpartition("/")
                if folder == STATUS and content is not None and not package.endswith(".md5sums"):
                    controls[package] = content.read().decode("utf-8")
    return Below(entries, controls)


def _parents_of(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _same(present: Entry, entry: Entry) -> bool:
    if present.kind is Kind.SYMLINK is entry.kind:
        return present.target == entry.target
    return present.kind is Kind.DIRECTORY is entry.kind
